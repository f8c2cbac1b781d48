//! Countries by their codes, and which address is in which.

mod codes;
mod database;

use std::fmt;
use std::str::FromStr;

pub use codes::CODES;
pub use database::{Database, NotADatabase};

/// A country by its code of ISO 3166-1: two capital letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// Why a text is no country.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotACountry {
    /// This country was perhaps meant: it is written in small letters, or by a code that is in use
    /// elsewhere.
    Perhaps(Country),
    /// It is a group of countries, of which each has to be named.
    Group,
    /// It is nothing that is known.
    Unknown,
}

impl Country {
    /// Its code, such as `AT`.
    pub fn code(&self) -> &str {
        // Two letters are UTF-8, so it is never empty.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The country of a code that is written as ISO writes it.
    fn of_code(code: &str) -> Option<Self> {
        let &[first, second] = code.as_bytes() else { return None };
        CODES.binary_search(&code).is_ok().then_some(Self([first, second]))
    }
}

impl FromStr for Country {
    type Err = NotACountry;

    fn from_str(text: &str) -> Result<Self, NotACountry> {
        if let Some(country) = Self::of_code(text) {
            return Ok(country);
        }
        let code = match text.to_ascii_uppercase().as_str() {
            "EU" => return Err(NotACountry::Group),
            "UK" => "GB".to_owned(),
            "EL" => "GR".to_owned(),
            code => code.to_owned(),
        };
        Err(Self::of_code(&code).map_or(NotACountry::Unknown, NotACountry::Perhaps))
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_in_order_and_each_is_there_once() {
        assert!(CODES.is_sorted_by(|one, next| one < next));
        assert!(CODES.iter().all(|code| code.len() == 2));
    }

    #[test]
    fn a_code_is_a_country() {
        for code in ["AT", "NO", "XK", "ZW", "AD"] {
            assert_eq!(code.parse::<Country>().unwrap().to_string(), code);
        }
    }

    #[test]
    fn what_is_no_country_is_told_what_it_may_be() {
        let perhaps = |code: &str| Err(NotACountry::Perhaps(Country::of_code(code).unwrap()));
        assert_eq!("at".parse::<Country>(), perhaps("AT"));
        assert_eq!("De".parse::<Country>(), perhaps("DE"));
        assert_eq!("UK".parse::<Country>(), perhaps("GB"));
        assert_eq!("el".parse::<Country>(), perhaps("GR"));
        assert_eq!("EU".parse::<Country>(), Err(NotACountry::Group));
        for text in ["", "A", "AUT", "Austria", "ZZ", "QQ", "Ö", "A1", "  "] {
            assert_eq!(text.parse::<Country>(), Err(NotACountry::Unknown), "{text}");
        }
    }
}
