//! Passwords and tokens from where they are kept. No message here quotes one.

use std::path::PathBuf;
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};

use crate::config::findings::Findings;
use crate::config::source::{At, Sources, Span};
use crate::fleet::compile::Outside;

/// Reads secrets.
pub(super) struct Secrets<'a> {
    sources: &'a Sources,
    outside: &'a dyn Outside,
}

/// What a secret in the configuration's own text is for.
#[derive(Clone, Copy)]
pub(super) enum What {
    Password,
    Salt,
}

impl<'a> Secrets<'a> {
    pub(super) fn new(sources: &'a Sources, outside: &'a dyn Outside) -> Self {
        Self { sources, outside }
    }

    /// Where a file is that is named in the configuration.
    pub(super) fn path(&self, file: &At<PathBuf>) -> PathBuf {
        self.sources.holding(file.span).beside(&file.value)
    }

    /// The time of day, if it is known.
    pub(super) fn now(&self) -> Option<SystemTime> {
        self.outside.now()
    }

    /// All that is in a file; `what` kind of file it is is said in messages.
    pub(super) fn document(
        &self,
        file: &At<PathBuf>,
        what: &str,
        findings: &mut Findings,
    ) -> Option<SecretString> {
        let path = self.path(file);
        match self.outside.secret(&path) {
            Ok(text) => Some(SecretString::from(text)),
            Err(error) => {
                let message =
                    format!("the {what} file \"{}\" cannot be read: {error}", path.display());
                let help = "check the path and the rights of the user that the balancer runs as";
                findings.problem(file.span, message, help);
                None
            }
        }
    }

    /// The secret in a file, without the line break at its end.
    pub(super) fn file(&self, file: &At<PathBuf>, findings: &mut Findings) -> Option<SecretString> {
        let text = self.document(file, "secret", findings)?;
        let line = text.expose_secret().trim_end_matches(['\r', '\n']);
        let wrong = if line.is_empty() {
            "is empty"
        } else if line.contains(char::is_control) {
            "has more than one line, or control characters"
        } else {
            return Some(SecretString::from(line));
        };
        let message = format!("the secret file \"{}\" {wrong}", self.path(file).display());
        findings.problem(file.span, message, "put the secret into it, alone, on one line");
        None
    }

    /// A secret as written, with every `${NAME}` replaced by that environment variable.
    pub(super) fn written(
        &self,
        what: What,
        secret: &At<SecretString>,
        findings: &mut Findings,
    ) -> Option<SecretString> {
        let mut rest = secret.value.expose_secret();
        let mut whole = String::new();
        let mut complete = true;
        while let Some((before, after)) = rest.split_once("${") {
            whole.push_str(before);
            let Some((name, after)) = after.split_once('}').filter(|(name, _)| is_name(name))
            else {
                let message = format!("the {} has a `${{` without a name and `}}`", what.name());
                let help = match what {
                    What::Password => {
                        "write ${NAME}; a password with `${` in it goes into `password_file`"
                    }
                    What::Salt => "write ${NAME} for an environment variable, or no `${`",
                };
                findings.secret_problem(secret.span, message, help);
                return None;
            };
            match self.variable(name, what, secret.span, findings) {
                Some(value) => whole.push_str(value.expose_secret()),
                None => complete = false,
            }
            rest = after;
        }
        whole.push_str(rest);
        let whole = SecretString::from(whole);
        if whole.expose_secret().contains(char::is_control) {
            let message =
                format!("the {} contains a line break or a control character", what.name());
            findings.secret_problem(secret.span, message, "write it on one line");
            complete = false;
        }
        Some(whole).filter(|_| complete)
    }

    fn variable(
        &self,
        name: &str,
        what: What,
        span: Span,
        findings: &mut Findings,
    ) -> Option<SecretString> {
        let wrong = match self.outside.variable(name) {
            Some(value) if !value.is_empty() => return Some(SecretString::from(value)),
            Some(_) => "empty",
            None => "not set",
        };
        let message = format!("the environment variable {name} is {wrong}");
        let help = match what {
            What::Password => "set it where the balancer is started, or use `password_file`",
            What::Salt => "set it where the balancer is started",
        };
        findings.secret_problem(span, message, help);
        None
    }
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Salt => "salt",
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
