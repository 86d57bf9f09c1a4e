//! Integration tests: real programs on the hosts of a lab. One binary, a module per topic, in
//! which the names of tests are sentences.
//!
//! Not here: what can be tested without hosts; that is in the packages themselves.
#![forbid(unsafe_code)]

mod traces;

mod lab;

mod datapath;

mod bench;

mod guest;

mod l4;

mod fullnat;

mod schedulers;

mod fragments;

mod jumbo;

mod tunnel;

mod realserver;

mod ipv6;

mod local;

mod explain;

mod health;

mod reload;

mod drain;

mod lifecycle;

mod hardship;

mod vrrp;

mod demo;

mod mariadb;

mod proxy;

mod sqlproxy;

mod docs;
