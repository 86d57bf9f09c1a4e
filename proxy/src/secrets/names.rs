//! Which certificate a client gets, by the name that it asks for (SNI, RFC 6066 section 3).
//!
//! An exact name goes before a wildcard; of two certificates for one name the first in the site file; an
//! unknown name and none get the first of all. Not here: files.

use std::collections::HashMap;

/// Certificates by the names that they are for, each by its place.
#[derive(Debug, Default)]
pub struct Names {
    exact: HashMap<String, usize>,
    /// By what follows the star's dot.
    wildcard: HashMap<String, usize>,
}

impl Names {
    /// A certificate that is for these names as well.
    pub fn add<'n>(&mut self, place: usize, names: impl IntoIterator<Item = &'n str>) {
        for name in names {
            let name = name.to_ascii_lowercase();
            let (map, key) = match name.strip_prefix("*.") {
                Some(rest) => (&mut self.wildcard, rest.to_owned()),
                None => (&mut self.exact, name),
            };
            map.entry(key).or_insert(place);
        }
    }

    /// The certificate for a name.
    #[must_use]
    pub fn find(&self, name: Option<&str>) -> usize {
        let found = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let wildcard = || {
                let (_, rest) = name.split_once('.')?;
                self.wildcard.get(rest)
            };
            self.exact.get(&name).or_else(wildcard).copied()
        });
        found.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_names_go_before_wildcards_and_the_first_before_the_second() {
        let mut names = Names::default();
        names.add(0, ["a.example"]);
        names.add(1, ["*.example.com", "example.com"]);
        names.add(2, ["WWW.example.com", "a.example"]);
        for (name, place) in [
            (Some("a.example"), 0),
            (Some("www.example.com"), 2),
            (Some("wWw.Example.com"), 2),
            (Some("shop.example.com"), 1),
            (Some("example.com"), 1),
            (Some("a.b.example.com"), 0),
            (Some("com"), 0),
            (None, 0),
        ] {
            assert_eq!(names.find(name), place, "{name:?}");
        }
    }
}
