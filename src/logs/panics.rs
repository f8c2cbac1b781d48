//! A panic is a fault of this program: it is counted and told in one line, and ends the task or the
//! connection that it happened in.

use std::panic::{PanicHookInfo, set_hook};
use std::thread;

use tracing::error;
use tracing::field::display;

use crate::counters::PROCESS;

/// Has every panic of the process counted and told from now on.
pub fn watch() {
    set_hook(Box::new(note));
}

/// A message that was put together may quote what was being worked on, a password perhaps; one that
/// is part of the program cannot. The place tells enough.
fn note(panic: &PanicHookInfo<'_>) {
    PROCESS.panics.increment();
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let why = panic.payload().downcast_ref::<&'static str>().copied();
    let at = panic.location().map(display);
    error!(thread, at, why, "a fault of this program: panicked");
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged when `broken` runs in a thread of its own.
    fn logged(broken: fn()) -> String {
        let memory = Memory::default();
        let copy = memory.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || copy.clone()).finish();
        let ended = thread::Builder::new()
            .name("breaking".to_owned())
            .spawn(move || tracing::subscriber::with_default(subscriber, broken));
        assert!(ended.unwrap().join().is_err());
        String::from_utf8(memory.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_panic_is_counted_and_told_in_one_line_that_quotes_nothing() {
        let before = PROCESS.panics.get();
        let usual = std::panic::take_hook();
        watch();
        let literal = logged(|| panic!("what is part of the program"));
        let made = logged(|| panic!("in \"{}\"", "Kanarien".to_owned() + "vogel"));
        let cut = logged(|| {
            let mut text = "Kanarienvögel".to_owned();
            text.truncate(10);
        });
        let other = thread::spawn(|| "works on").join();
        std::panic::set_hook(usual);
        assert_eq!(other.unwrap(), "works on");
        assert!(PROCESS.panics.get() >= before + 3);
        for line in [&literal, &made, &cut] {
            assert_eq!(line.lines().count(), 1, "{line}");
            for word in ["ERROR", "a fault of this program", "thread=\"breaking\"", "panics.rs:"] {
                assert!(line.contains(word), "{line}");
            }
            assert!(!line.contains("Kanarien"), "{line}");
        }
        assert!(literal.contains("what is part of the program"), "{literal}");
    }
}
