//! Problems as text: for people, for machines and for the annotations of GitHub.

use std::fmt;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Problem, Problems};

impl Problems {
    /// For people: each problem with its line, a caret and what to do.
    pub fn human(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let reports: Vec<String> = self.iter().map(|problem| report(problem, &renderer)).collect();
        reports.join("\n\n")
    }

    /// For machines: an array of objects with `file`, `line`, `column`, `message` and `help`.
    pub fn json(&self) -> String {
        let problems: Vec<serde_json::Value> = self.iter().map(object).collect();
        serde_json::Value::Array(problems).to_string()
    }

    /// For GitHub Actions: one `::error` command a line.
    pub fn github(&self) -> String {
        let commands: Vec<String> = self.iter().map(command).collect();
        commands.join("\n")
    }
}

/// As [`Problems::human`], without colours.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.human(false))
    }
}

/// The excerpt may be cut and masked, so that its columns are not those of the file: the place is
/// rendered apart from it.
fn report(problem: &Problem, renderer: &Renderer) -> String {
    let origin = Origin::path(problem.place.file.as_str());
    let title = Level::ERROR.primary_title(problem.message.as_str());
    let mut detail = Group::with_level(Level::ERROR);
    let mut indent = 1;
    let origin = match &problem.place.spot {
        Some(spot) => {
            let mark = AnnotationKind::Primary.span(spot.marked.clone());
            let snippet = Snippet::source(spot.excerpt.as_str()).line_start(spot.line);
            detail = detail.element(snippet.annotation(mark));
            indent = spot.line.to_string().len();
            origin.line(spot.line).char_column(spot.column)
        }
        None => origin,
    };
    if let Some(help) = &problem.help {
        detail = detail.element(Level::HELP.message(help.as_str()));
    }
    let head = renderer.render(&[title.element(origin)]);
    let (title, origin) = head.rsplit_once('\n').unwrap_or(("", &head));
    let head = format!("{title}\n{:indent$}{origin}", "");
    if detail.is_empty() { head } else { format!("{head}\n{}", renderer.render(&[detail])) }
}

fn object(problem: &Problem) -> serde_json::Value {
    let spot = problem.place.spot.as_ref();
    serde_json::json!({
        "file": problem.place.file,
        "line": spot.map(|spot| spot.line),
        "column": spot.map(|spot| spot.column),
        "message": problem.message,
        "help": problem.help,
    })
}

fn command(problem: &Problem) -> String {
    let file = property(&problem.place.file);
    let at = match &problem.place.spot {
        Some(spot) => format!(",line={},col={}", spot.line, spot.column),
        None => String::new(),
    };
    let message = match &problem.help {
        Some(help) => format!("{}\nhelp: {help}", problem.message),
        None => problem.message.clone(),
    };
    format!("::error file={file}{at}::{}", data(&message))
}

/// The text after `::`, where a line break would end the command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A value between `::error` and `::`, where commas and colons separate.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use crate::problem::{Place, Spot};

    use super::*;

    fn example() -> Problems {
        Problems::from(Problem {
            message: "unknown server \"vena\"".into(),
            place: Place {
                file: "conf,d/a:b.yaml".into(),
                spot: Some(Spot {
                    line: 10,
                    column: 15,
                    span: 200..204,
                    excerpt: "    servers: [vena]".into(),
                    marked: 14..18,
                }),
            },
            help: Some("100 %\nsure".into()),
        })
    }

    #[test]
    fn people_see_the_line_with_a_caret_and_a_remedy() {
        assert_eq!(
            example().human(false),
            "error: unknown server \"vena\"\n  --> conf,d/a:b.yaml:10:15\n   |\n10 |     servers: [vena]\n   \
             |               ^^^^\n   |\n   = help: 100 %\n           sure"
        );
    }

    #[test]
    fn display_is_the_plain_text_for_people() {
        assert_eq!(example().to_string(), example().human(false));
    }

    #[test]
    fn colours_are_only_used_when_asked_for() {
        assert!(example().human(true).contains('\u{1b}'));
        assert!(!example().human(false).contains('\u{1b}'));
    }

    #[test]
    fn machines_get_an_array_of_objects() {
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&example().json()).unwrap(),
            serde_json::json!([{
                "file": "conf,d/a:b.yaml", "line": 10, "column": 15,
                "message": "unknown server \"vena\"", "help": "100 %\nsure",
            }])
        );
    }

    #[test]
    fn github_commands_are_escaped() {
        assert_eq!(
            example().github(),
            "::error file=conf%2Cd/a%3Ab.yaml,line=10,col=15::unknown server \"vena\"%0Ahelp: 100 \
             %25%0Asure"
        );
    }

    #[test]
    fn a_file_without_a_spot_is_named_alone() {
        let problems = Problems::from(Problem::with_file("gone.yaml", "cannot be read"));
        assert_eq!(problems.human(false), "error: cannot be read\n --> gone.yaml");
        assert_eq!(problems.github(), "::error file=gone.yaml::cannot be read");
        assert!(problems.json().contains("\"line\":null"));
    }
}
