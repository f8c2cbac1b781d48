//! The log: what the program tells of itself, on standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::counters::PROCESS;

use super::escape;
use super::queue::Line;
use super::writer::{Target, Writer};

/// The log on standard error. Clones write to the same.
#[derive(Debug, Clone)]
pub struct Log {
    writer: Arc<Writer<Text>>,
    form: Form,
}

/// What is to become of an event's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Nothing: it is JSON, which escapes by itself.
    Json,
    /// It is made harmless.
    Plain,
    /// So it is, but for the colours in it.
    Coloured,
}

/// A line as it is to be written.
#[derive(Debug)]
struct Text(Box<[u8]>);

/// The writer of one event.
#[derive(Debug)]
pub struct Event<'a>(&'a Log);

impl Log {
    /// Starts the log on standard error: one JSON object a line where `is_json`, else for people.
    pub fn on_stderr(is_json: bool) -> io::Result<Self> {
        let stderr = io::stderr();
        let form = match (is_json, stderr.is_terminal()) {
            (true, _) => Form::Json,
            (false, false) => Form::Plain,
            (false, true) => Form::Coloured,
        };
        let target = Target::stream(&stderr)?;
        let writer = Writer::start("log", target, &PROCESS.log_lines_dropped)?;
        Ok(Self { writer: Arc::new(writer), form })
    }

    /// Whether events come with colours.
    pub fn is_coloured(&self) -> bool {
        self.form == Form::Coloured
    }

    /// Has a text written as it is, with a line break at its end.
    pub fn say(&self, text: &str) {
        let text = text.trim_end_matches('\n').bytes().chain([b'\n']);
        self.writer.push(Text(text.collect()));
    }

    /// Waits until everything is written, or for `limit`.
    pub fn finish(&self, limit: Duration) {
        self.writer.finish(limit);
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Event(self)
    }
}

impl Write for Event<'_> {
    /// Takes a whole event, as its formatter hands it over.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let Self(log) = self;
        let text = match log.form {
            Form::Json => event.to_vec(),
            Form::Plain | Form::Coloured => {
                let mut text = Vec::with_capacity(event.len());
                escape::event(&mut text, &String::from_utf8_lossy(event), log.is_coloured());
                text
            }
        };
        log.writer.push(Text(text.into()));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Line for Text {
    fn weight(&self) -> usize {
        self.0.len()
    }

    fn write_to(self, text: &mut Vec<u8>) {
        text.extend_from_slice(&self.0);
    }
}
