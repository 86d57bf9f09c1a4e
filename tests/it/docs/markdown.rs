//! As much of Markdown as the documents use: fenced blocks, tables, headings, links.
//!
//! Not here: what must be true of them.

use std::{collections::BTreeSet, fmt, fs, path::Path};

use anyhow::{Context as _, Result};

/// A document.
#[derive(Debug)]
pub(super) struct Document {
    /// From the root of the tree.
    pub(super) path: String,
    /// All of it.
    pub(super) text: String,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub(super) struct Snippet {
    path: String,
    line: usize,
    /// The words after the fence.
    pub(super) info: Vec<String>,
    /// What is between the fences.
    pub(super) text: String,
}

impl Snippet {
    /// The first word after the fence; empty where there is none.
    pub(super) fn kind(&self) -> &str {
        self.info.first().map_or("", String::as_str)
    }
}

impl fmt::Display for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.line)
    }
}

impl Document {
    pub(super) fn read(root: &Path, path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let path = path.strip_prefix(root).unwrap_or(path);
        Ok(Self {
            path: path.display().to_string(),
            text,
        })
    }

    /// The directory that its links start from.
    pub(super) fn dir(&self) -> &Path {
        Path::new(&self.path)
            .parent()
            .unwrap_or_else(|| Path::new(""))
    }

    /// The fenced blocks, in order.
    pub(super) fn snippets(&self) -> Vec<Snippet> {
        let mut snippets = vec![];
        let mut open: Option<Snippet> = None;
        for (line, text) in (1..).zip(self.text.lines()) {
            match (text.strip_prefix("```"), open.take()) {
                (Some(_), Some(done)) => snippets.push(done),
                (Some(info), None) => {
                    let words = info.split([' ', ',']).filter(|word| !word.is_empty());
                    open = Some(Snippet {
                        path: self.path.clone(),
                        line,
                        info: words.map(str::to_owned).collect(),
                        text: String::new(),
                    });
                }
                (None, Some(mut block)) => {
                    block.text.push_str(text);
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.path);
        snippets
    }

    /// The lines outside fenced blocks.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let mut fenced = false;
        self.text.lines().filter(move |line| {
            let fence = line.starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
    }

    /// The rows of the first table under a heading, without the head of the table.
    pub(super) fn rows_under(&self, heading: &str) -> Result<Vec<Vec<String>>> {
        let under = self
            .prose()
            .skip_while(|line| headline(line) != Some(heading));
        let section = under.skip(1).take_while(|line| headline(line).is_none());
        let table = section.skip_while(|line| !line.starts_with('|'));
        let rows: Vec<Vec<String>> = table
            .take_while(|line| line.starts_with('|'))
            .skip(2)
            .map(cells)
            .collect();
        let what = || format!("{}: no table under the heading {heading}", self.path);
        (!rows.is_empty()).then_some(rows).with_context(what)
    }

    /// The first cells of that table, as bare names.
    pub(super) fn names_under(&self, heading: &str) -> Result<BTreeSet<String>> {
        let rows = self.rows_under(heading)?;
        Ok(rows.iter().map(|row| name(&row[0])).collect())
    }

    /// Where its links go.
    pub(super) fn links(&self) -> impl Iterator<Item = String> {
        self.prose().flat_map(|line| {
            let ends = line.split("](").skip(1);
            ends.filter_map(|rest| rest.split_once(')').map(|(link, _)| link.to_owned()))
        })
    }

    /// The names under which links reach its headings.
    pub(super) fn anchors(&self) -> BTreeSet<String> {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let anchor = |heading: &str| {
            let plain: String = heading.to_lowercase().chars().filter(kept).collect();
            plain.replace(' ', "-")
        };
        self.prose().filter_map(headline).map(anchor).collect()
    }
}

/// A heading's text.
fn headline(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    (text.len() < line.len()).then(|| text.trim())
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').trim_end_matches('|');
    row.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// A cell's text without the marks of code.
pub(super) fn name(cell: &str) -> String {
    cell.replace('`', "")
}
