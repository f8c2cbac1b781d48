//! The `STATS` feed: the same events in whatever pieces it comes, and those that a plain reading
//! of its lines gives.

use icecast_balancer::icecast::feed::{Event, Lines};

/// A mount (or `None` for the relay), what is counted, and how many.
type Told = (Option<String>, &'static str, u64);

/// A feed; its first two bytes say in what pieces it comes.
pub fn feed(input: &[u8]) {
    let Some(([first, second], bytes)) = input.split_first_chunk() else { return };
    let told = in_pieces(bytes, usize::from(*first) + 1, usize::from(*second) + 1);
    assert_eq!(told, line_by_line(bytes));
}

/// The events when pieces of two sizes take turns.
fn in_pieces(mut bytes: &[u8], one: usize, other: usize) -> Vec<Told> {
    let mut lines = Lines::default();
    let mut told = Vec::new();
    let mut sizes = [one, other].into_iter().cycle();
    while !bytes.is_empty() {
        let size = sizes.next().unwrap_or(1).min(bytes.len());
        let (piece, rest) = bytes.split_at(size);
        lines.read(piece, |event| told.push(owned(event)));
        bytes = rest;
    }
    told
}

fn owned(event: Event<'_>) -> Told {
    match event {
        Event::Listeners { mount, listeners } => (Some(mount.to_owned()), "listeners", listeners),
        Event::MaxListeners { mount, most } => (Some(mount.to_owned()), "max_listeners", most),
        Event::Clients(clients) => (None, "clients", clients),
    }
}

/// What the lines mean, read in the plainest way: whole, word by word.
fn line_by_line(bytes: &[u8]) -> Vec<Told> {
    let mut lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    // What follows the last line's end is no line yet.
    lines.pop();
    let lines = lines.into_iter().filter(|line| line.len() <= 1024);
    lines.filter_map(|line| told(std::str::from_utf8(line).ok()?)).collect()
}

fn told(line: &str) -> Option<Told> {
    let words: Vec<_> = line.split(' ').collect();
    let ["EVENT", mount @ .., name, number] = words.as_slice() else { return None };
    let mount = mount.join(" ");
    if number.is_empty() || !number.chars().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number = number.trim_start_matches('0');
    let number = if number.is_empty() { 0 } else { number.parse::<u64>().ok()? };
    if number > 1 << 32 {
        return None;
    }
    match *name {
        "clients" if mount == "global" => Some((None, "clients", number)),
        "listeners" if mount.starts_with('/') => Some((Some(mount), "listeners", number)),
        "max_listeners" if mount.starts_with('/') => Some((Some(mount), "max_listeners", number)),
        _ => None,
    }
}
