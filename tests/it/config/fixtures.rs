//! Files that must be refused, word by word, and files that must load.
//!
//! `UPDATE_FIXTURES=1 cargo test` writes the wording anew; read it before you commit it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, io};

use icecast_balancer::config::source::Sources;
use icecast_balancer::country::Database;
use icecast_balancer::files;
use icecast_balancer::fleet::compile::{Outside, compile};

use super::outside;

const INVALID: usize = 179;
const VALID: usize = 14;

#[test]
fn every_invalid_file_is_refused_in_the_expected_words() {
    let found = yaml_in("tests/fixtures/config/invalid");
    for path in &found {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(path).unwrap();
        let problems = compile(&Sources::new(name, text), &outside()).map(|_| ()).expect_err(name);
        assert!(problems.iter().all(|problem| problem.help.is_some()), "{name}: no remedy");
        assert!(problems.iter().all(|problem| problem.place.spot.is_some()), "{name}: no place");
        let beside = path.with_extension("txt");
        let words = format!("{problems}\n");
        if env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&beside, &words).unwrap();
        }
        assert_eq!(words, fs::read_to_string(&beside).unwrap_or_default(), "{name}");
    }
    let expected = files_in("tests/fixtures/config/invalid", "txt");
    assert_eq!((found.len(), expected.len()), (INVALID, INVALID));
}

#[test]
fn every_valid_file_loads_without_a_warning() {
    let found = yaml_in("tests/fixtures/config/valid");
    for path in &found {
        let sources = Sources::new("balancer.yaml", fs::read_to_string(path).unwrap());
        match compile(&sources, &outside()) {
            Ok(fleet) => assert_eq!(fleet.warnings, Vec::<String>::new(), "{}", path.display()),
            Err(problems) => panic!("{}:\n{problems}", path.display()),
        }
    }
    assert_eq!(found.len(), VALID);
}

/// This machine, as if it had every database that an example names.
struct WithDatabase;

impl Outside for WithDatabase {
    fn variable(&self, name: &str) -> Option<String> {
        files::Disk.variable(name)
    }

    fn secret(&self, path: &Path) -> io::Result<String> {
        files::Disk.secret(path)
    }

    fn database(&self, _: &Path) -> io::Result<Arc<Database>> {
        outside().database(Path::new("country.mmdb"))
    }
}

#[test]
fn the_reference_and_every_example_load_without_a_warning() {
    let mut paths = yaml_in("examples");
    paths.push(root().join("examples/directory"));
    paths.push(root().join("balancer.yaml"));
    for path in &paths {
        match compile(&files::read(path).unwrap(), &WithDatabase) {
            Ok(fleet) if path.ends_with("directory") => assert_eq!(fleet.streams.len(), 2),
            Ok(fleet) => assert_eq!(fleet.warnings, Vec::<String>::new(), "{}", path.display()),
            Err(problems) => panic!("{problems}"),
        }
    }
    assert_eq!(paths.len(), 6);
}

#[test]
fn every_configuration_in_the_documentation_loads() {
    let mut loaded = 0;
    for path in [root().join("README.md"), root().join("docs/configuration.md")] {
        let text = fs::read_to_string(&path).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let yaml = block.split("```").next().unwrap();
            // Kubernetes and Compose are shown in the same language.
            if yaml.contains("streams:\n") {
                let sources = Sources::new(&path, yaml);
                if let Err(problems) = compile(&sources, &outside()) {
                    panic!("{problems}");
                }
                loaded += 1;
            }
        }
    }
    assert_eq!(loaded, 5);
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn yaml_in(folder: &str) -> Vec<PathBuf> {
    files_in(folder, "yaml")
}

fn files_in(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let matches = |path: &PathBuf| path.extension().is_some_and(|extension| extension == ending);
    let mut paths: Vec<PathBuf> = entries.filter(matches).collect();
    paths.sort();
    paths
}
