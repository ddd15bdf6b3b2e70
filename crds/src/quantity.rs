//! Quantities as Kubernetes writes them: `64Mi`, `500m`, `1.5`, `2e9`.
//!
//! Integers only: what does not come out whole is rounded up, as `resource.Quantity.Value()` does. Negative quantities are refused;
//! nothing here can be negative.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// A Kubernetes quantity, kept as it was written. YAML may also give it as an integer.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct Quantity(pub String);

/// Why a text is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseQuantityError {
    #[error("{field}: {text:?} is no quantity: write a number with at most one suffix, such as 64Mi, 1.5G or 500m, without spaces")]
    Malformed { field: String, text: String },
    #[error("{field}: {text:?} is negative: write a number above 0")]
    Negative { field: String, text: String },
    #[error("{field}: {text:?} is too large or has too many digits: it must come out below 2^63")]
    TooLarge { field: String, text: String },
}

/// Longer texts are refused before they are read: no quantity needs more.
const MAX_LENGTH: usize = 32;

/// As Kubernetes' grammar, without a minus; what `Quantity::parse` accepts.
pub(crate) const PATTERN: &str = r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?$";

/// `mantissa × 2^two × 10^ten`.
struct Parts {
    mantissa: u128,
    two: u32,
    ten: i32,
}

// === impl Quantity ===

impl Quantity {
    /// So many bytes, with the largest binary suffix that leaves an integer.
    pub fn of_bytes(bytes: u64) -> Self {
        let suffixes = [(50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
        let whole = suffixes.iter().find(|(bits, _)| bytes > 0 && bytes.is_multiple_of(1 << bits));
        Self(whole.map_or_else(|| bytes.to_string(), |(bits, suffix)| format!("{}{suffix}", bytes >> bits)))
    }

    /// The quantity in bytes, rounded up. `field` is the path that an error names.
    ///
    /// # Errors
    /// When the text is no quantity, is negative or comes out above `i64::MAX`.
    pub fn bytes(&self, field: &str) -> Result<u64, ParseQuantityError> {
        self.units(field, 0)
    }

    /// The quantity in thousandths (of a CPU), rounded up. `field` is the path that an error names.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn millicores(&self, field: &str) -> Result<u64, ParseQuantityError> {
        self.units(field, 3)
    }

    /// The quantity in units of 10^-`places`, rounded up.
    fn units(&self, field: &str, places: i32) -> Result<u64, ParseQuantityError> {
        let text = || self.0.chars().take(80).collect();
        if self.0.starts_with('-') {
            return Err(ParseQuantityError::Negative { field: field.to_owned(), text: text() });
        }
        let parts = parse(&self.0).ok_or_else(|| ParseQuantityError::Malformed { field: field.to_owned(), text: text() })?;
        parts.scaled(places).ok_or_else(|| ParseQuantityError::TooLarge { field: field.to_owned(), text: text() })
    }
}

fn parse(text: &str) -> Option<Parts> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mantissa = format!("0{whole}{fraction}").parse().ok()?;
    let (two, ten) = scale(suffix)?;
    Some(Parts { mantissa, two, ten: ten - i32::try_from(fraction.len()).ok()? })
}

/// The powers of two and of ten that a suffix stands for.
fn scale(suffix: &str) -> Option<(u32, i32)> {
    let powers = match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => (0, exponent(suffix)?),
    };
    Some(powers)
}

fn exponent(suffix: &str) -> Option<i32> {
    let digits = suffix.strip_prefix(['e', 'E'])?;
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let plausible = (1..=2).contains(&unsigned.len()) && unsigned.bytes().all(|c| c.is_ascii_digit());
    plausible.then(|| digits.parse().ok()).flatten()
}

// === impl Parts ===

impl Parts {
    /// In units of 10^-`places`, rounded up; `None` above `i64::MAX`, or where a step on the way needs more than 128 bits.
    fn scaled(&self, places: i32) -> Option<u64> {
        let ten = self.ten + places;
        let power = 10_u128.checked_pow(ten.unsigned_abs());
        let binary = self.mantissa.checked_mul(1_u128.checked_shl(self.two)?)?;
        let units = match (ten >= 0, power) {
            _ if binary == 0 => 0,
            (true, power) => binary.checked_mul(power?)?,
            (false, Some(power)) => binary.div_ceil(power),
            // Divided by more than any number we hold: something above 0, rounded up.
            (false, None) => 1,
        };
        u64::try_from(units).ok().filter(|units| i64::try_from(*units).is_ok())
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor)
    }
}

struct QuantityVisitor;

impl Visitor<'_> for QuantityVisitor {
    type Value = Quantity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity: an integer, or a text such as \"64Mi\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
        Ok(Quantity(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
        Ok(Quantity(number.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
        Ok(Quantity(number.to_string()))
    }
}

impl JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-int-or-string": true, "pattern": PATTERN, "maxLength": MAX_LENGTH })
    }
}

#[cfg(test)]
mod tests;
