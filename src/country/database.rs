//! A MaxMind database in memory, asked for countries alone.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions, path};

use super::Country;

/// Which address is in which country. Every entry was read once, so that none is a surprise later.
pub struct Database {
    reader: Reader<Vec<u8>>,
}

/// Why bytes are no database of countries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotADatabase {
    /// They are not in MaxMind's format, or damaged.
    Malformed(String),
    /// It is a database of something else.
    NoCountries(String),
}

impl Database {
    /// Understands a file's bytes, all of them.
    pub fn new(bytes: Vec<u8>) -> Result<Self, NotADatabase> {
        let malformed = |error: MaxMindDbError| NotADatabase::Malformed(error.to_string());
        let database = Self { reader: Reader::from_source(bytes).map_err(malformed)? };
        if database.has_countries().map_err(malformed)? {
            Ok(database)
        } else {
            Err(NotADatabase::NoCountries(database.reader.metadata().database_type.clone()))
        }
    }

    /// The country that an address is in. Takes neither a lock nor memory.
    pub fn country_of(&self, address: IpAddr) -> Option<Country> {
        // An error would be one of an entry that was not there when all were read, or of an IPv6
        // address in a database that knows none.
        country(&self.reader.lookup(address.to_canonical()).ok()?).ok()?
    }

    /// Reads every entry; many networks have the same.
    fn has_countries(&self) -> Result<bool, MaxMindDbError> {
        let mut seen = HashSet::new();
        let mut found = false;
        // A tree has fewer leaves than this, and a knot has more.
        let mut left = u64::from(self.reader.metadata().node_count) * 2 + 2;
        let everywhere = WithinOptions::default().include_networks_without_data();
        for network in self.reader.networks(everywhere)? {
            let network = network?;
            left = left
                .checked_sub(1)
                .ok_or_else(|| MaxMindDbError::invalid_database("its search tree is not a tree"))?;
            if network.offset().is_some_and(|offset| seen.insert(offset)) {
                found |= country(&network)?.is_some();
            }
        }
        Ok(found)
    }
}

/// What an entry says of the country, in databases of countries and of cities.
fn country(entry: &LookupResult<'_, Vec<u8>>) -> Result<Option<Country>, MaxMindDbError> {
    let code: Option<&str> = entry.decode_path(&path!["country", "iso_code"])?;
    Ok(code.and_then(Country::of_code))
}

impl fmt::Display for NotADatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "it is not a MaxMind database, or damaged: {why}"),
            Self::NoCountries(kind) => {
                write!(f, "it knows no countries, it is of the kind {kind:?}")
            }
        }
    }
}

/// Its kind and its age, by which two of them are told apart.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metadata = self.reader.metadata();
        f.debug_struct("Database")
            .field("kind", &metadata.database_type)
            .field("built_unix", &metadata.build_epoch)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &[u8] = include_bytes!("../../tests/fixtures/geoip/country.mmdb");

    fn country_of(address: &str) -> Option<String> {
        let database = Database::new(FIXTURE.to_vec()).unwrap();
        database.country_of(address.parse().unwrap()).map(|country| country.to_string())
    }

    #[test]
    fn an_address_is_in_its_country_and_its_neighbour_is_not() {
        assert_eq!(country_of("192.0.2.0").as_deref(), Some("AT"));
        assert_eq!(country_of("192.0.2.255").as_deref(), Some("AT"));
        assert_eq!(country_of("192.0.3.0"), None);
        assert_eq!(country_of("198.51.100.7").as_deref(), Some("DE"));
        assert_eq!(country_of("2001:db8:a::1").as_deref(), Some("AT"));
        assert_eq!(country_of("2001:db8:b::1"), None);
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert_eq!(country_of("::ffff:192.0.2.9").as_deref(), Some("AT"));
    }

    #[test]
    fn a_code_that_is_no_country_is_none() {
        assert_eq!(country_of("203.0.113.1").as_deref(), Some("US"));
        assert_eq!(country_of("203.0.113.200"), None, "the database says ZZ");
    }

    #[test]
    fn whatever_is_damaged_is_refused_or_answers_without_a_panic() {
        for end in 0..FIXTURE.len() {
            assert!(Database::new(FIXTURE[..end].to_vec()).is_err(), "cut at {end}");
        }
        for at in 0..FIXTURE.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = FIXTURE.to_vec();
                bytes[at] ^= flip;
                if let Ok(database) = Database::new(bytes) {
                    database.country_of("192.0.2.1".parse().unwrap());
                    database.country_of("2001:db8:a::1".parse().unwrap());
                }
            }
        }
    }

    #[test]
    fn what_is_no_database_says_so() {
        let wrong = Database::new(b"<html>not found</html>".to_vec()).unwrap_err();
        assert!(wrong.to_string().starts_with("it is not a MaxMind database"), "{wrong}");
    }
}
