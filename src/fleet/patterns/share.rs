//! Which names become streams, where servers list more than a pattern may have.
//!
//! The servers take turns, and each brings one name that no other has brought, those that are
//! streams already first. So what a server lists beyond its share costs its own names alone: one
//! that lists twenty thousand can neither keep the streams of others out nor drive them out. And a
//! server that needs less than its share leaves the rest to the others.

use std::collections::{BTreeMap, HashSet};

/// A name that a server lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listed<'a> {
    /// Whether it is no stream yet; the others come before it.
    pub(super) is_new: bool,
    /// What follows the prefix.
    pub(super) name: &'a str,
}

/// The names that become streams, at most `most`, each with the places of the lists that it is in,
/// in rising order; and how many names do not. The order of the lists' items does not matter.
pub(super) fn choose(
    mut lists: Vec<Vec<Listed<'_>>>,
    most: usize,
) -> (BTreeMap<&str, Vec<usize>>, usize) {
    let mut names: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, list) in lists.iter_mut().enumerate() {
        list.sort_unstable();
        list.dedup_by_key(|listed| listed.name);
        for listed in &*list {
            names.entry(listed.name).or_default().push(place);
        }
    }
    let left_out = names.len().saturating_sub(most);
    if left_out > 0 {
        let chosen = in_turns(&lists, most);
        names.retain(|name, _| chosen.contains(name));
    }
    (names, left_out)
}

/// `most` names, of which each list has brought one after the other.
fn in_turns<'a>(lists: &[Vec<Listed<'a>>], most: usize) -> HashSet<&'a str> {
    let mut chosen = HashSet::with_capacity(most);
    let mut lists: Vec<_> = lists.iter().map(|list| list.iter()).collect();
    while chosen.len() < most && !lists.is_empty() {
        lists.retain_mut(|list| {
            let full = chosen.len() >= most;
            !full && list.any(|listed| chosen.insert(listed.name))
        });
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lists as they are written: `+name` is new.
    fn lists<'a>(written: &[&'a str]) -> Vec<Vec<Listed<'a>>> {
        let listed = |word: &'a str| match word.strip_prefix('+') {
            Some(name) => Listed { is_new: true, name },
            None => Listed { is_new: false, name: word },
        };
        written.iter().map(|list| list.split_whitespace().map(listed).collect()).collect()
    }

    fn chosen(written: &[&str], most: usize) -> (String, usize) {
        let (names, left_out) = choose(lists(written), most);
        (names.into_keys().collect::<Vec<_>>().join(" "), left_out)
    }

    #[test]
    fn where_there_is_room_every_name_is_taken_with_its_places() {
        let (names, left_out) = choose(lists(&["+a +b", "+b", ""]), 2);
        assert_eq!(names, BTreeMap::from([("a", vec![0]), ("b", vec![0, 1])]));
        assert_eq!(left_out, 0);
    }

    #[test]
    fn servers_take_turns_where_there_is_none() {
        assert_eq!(chosen(&["+a +b +c +d", "+x +y"], 4), ("a b x y".to_owned(), 2));
        assert_eq!(chosen(&["+a +b +c +d", "+x"], 4), ("a b c x".to_owned(), 1));
    }

    #[test]
    fn a_name_that_two_bring_is_the_turn_of_one() {
        assert_eq!(chosen(&["+a +b +c", "+a +x +y"], 3), ("a b x".to_owned(), 2));
    }

    #[test]
    fn what_is_a_stream_already_comes_before_what_is_new() {
        assert_eq!(chosen(&["+a +b x y"], 3), ("a x y".to_owned(), 1));
    }

    #[test]
    fn a_flood_drives_nobody_out_who_needs_no_more_than_a_share() {
        let flood = (0..20_000).map(|n| format!("flood{n}")).collect::<Vec<_>>().join(" ");
        let (names, left_out) = choose(lists(&[&flood, "+a b +c"]), 10);
        assert!(["a", "b", "c"].iter().all(|name| names.contains_key(name)), "{names:?}");
        assert_eq!((names.len(), left_out), (10, 19_993));
    }

    proptest! {
        /// Whoever reports next, nothing changes any more: streams do not take each other's places
        /// for ever.
        #[test]
        fn what_was_chosen_is_chosen_again(
            written in prop::collection::vec(prop::collection::btree_set("[a-h]", 0..8), 1..5),
            most in 1_usize..8,
        ) {
            let all = |known: &HashSet<String>, reporting: Option<usize>| {
                let listed = |(place, list): (usize, &std::collections::BTreeSet<String>)| {
                    let names = list.iter().filter(|name| {
                        known.contains(*name) || reporting.is_none_or(|reporting| reporting == place)
                    });
                    names.map(|name| (!known.contains(name), name.clone())).collect::<Vec<_>>()
                };
                written.iter().enumerate().map(listed).collect::<Vec<_>>()
            };
            let choose_of = |owned: &[Vec<(bool, String)>]| {
                let lists = owned.iter().map(|list| {
                    list.iter().map(|(is_new, name)| Listed { is_new: *is_new, name }).collect()
                });
                let (names, _) = choose(lists.collect(), most);
                names.into_keys().map(str::to_owned).collect::<HashSet<String>>()
            };
            let mut known = HashSet::new();
            // Each server reports often enough for everybody to have had a share.
            for round in 0..written.len() * 10 {
                known = choose_of(&all(&known, Some(round % written.len())));
                prop_assert!(known.len() <= most);
            }
            for reporting in 0..written.len() {
                let again = choose_of(&all(&known, Some(reporting)));
                prop_assert_eq!(&again, &known);
            }
        }
    }
}
