//! A page of the documentation, taken apart: headings, links and pieces of code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A page, with its path in the repository.
pub(super) struct Page {
    pub(super) path: PathBuf,
    pub(super) headings: Vec<String>,
    pub(super) links: Vec<String>,
    pub(super) pieces: Vec<Piece>,
    /// What stands between single backquotes.
    pub(super) code: Vec<String>,
}

/// What stands between two fences.
pub(super) struct Piece {
    /// The line of its first fence.
    pub(super) line: usize,
    pub(super) language: String,
    /// Without the indentation of its fences.
    pub(super) text: String,
}

impl Page {
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(root().join(path)).unwrap();
        Self::parse(path, &text)
    }

    pub(super) fn parse(path: &Path, text: &str) -> Self {
        let (mut prose, mut headings, mut pieces) = (String::new(), Vec::new(), Vec::new());
        let mut open: Option<(usize, Piece)> = None;
        for (number, line) in text.lines().enumerate() {
            let inner = line.trim_start();
            let indent = line.len() - inner.len();
            match (&mut open, inner.strip_prefix("```")) {
                (None, Some(language)) => {
                    let language = language.trim().to_owned();
                    open =
                        Some((indent, Piece { line: number + 1, language, text: String::new() }));
                }
                (Some(_), Some("")) => pieces.extend(open.take().map(|(_, piece)| piece)),
                (Some((outer, piece)), _) => {
                    piece.text += line.get(indent.min(*outer)..).unwrap_or_default();
                    piece.text.push('\n');
                }
                (None, None) => {
                    if let Some(heading) = inner.strip_prefix('#').filter(|_| indent == 0) {
                        headings.push(heading.trim_start_matches('#').trim().to_owned());
                    }
                    prose += line;
                    prose.push('\n');
                }
            }
        }
        assert!(open.is_none(), "{}: a piece without an end", path.display());
        let (links, code) = (links(&prose), code(&prose));
        Self { path: path.to_owned(), headings, links, pieces, code }
    }

    /// The anchors of its headings, as GitHub makes them.
    pub(super) fn anchors(&self) -> Vec<String> {
        let mut met: BTreeMap<String, usize> = BTreeMap::new();
        let anchor = |heading: &String| {
            let slug = slug(heading);
            let before = met.entry(slug.clone()).or_default();
            *before += 1;
            if *before > 1 { format!("{slug}-{}", *before - 1) } else { slug }
        };
        self.headings.iter().map(anchor).collect()
    }
}

/// Every page that is read by people: the repository's own, and those of `docs`.
pub(super) fn pages() -> Vec<Page> {
    let own = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
    let own = own.iter().map(PathBuf::from);
    own.chain(names().into_iter().map(|name| Path::new("docs").join(name)))
        .map(|path| Page::read(&path))
        .collect()
}

/// The names of the pages in `docs`; the summary is none.
pub(super) fn names() -> Vec<String> {
    let files = fs::read_dir(root().join("docs")).unwrap();
    let files = files.map(|file| PathBuf::from(file.unwrap().file_name()));
    let pages = files.filter(|file| file.extension().is_some_and(|end| end == "md"));
    let names = pages.map(|page| page.to_str().unwrap().to_owned());
    let mut names: Vec<_> = names.filter(|name| name != "SUMMARY.md").collect();
    names.sort();
    names
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || ['-', '_'].contains(c)).collect()
}

/// Where its links lead, those of images included; a link may be broken over lines.
fn links(prose: &str) -> Vec<String> {
    let behind = prose.split("](").skip(1);
    behind.map(|rest| rest.split([')', ' ', '\n']).next().unwrap_or_default().to_owned()).collect()
}

fn code(prose: &str) -> Vec<String> {
    let lines = prose.split("\n\n").flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
    lines.map(|code| code.replace('\n', " ")).collect()
}
