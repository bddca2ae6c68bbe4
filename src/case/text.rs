//! Values of a case file that are written as text. They are parsed at their place, so an error
//! knows its line and column. They are written as they are read.

use crate::engine::{Target, TargetError, Via, ViaError};
use crate::graph::ValueName;
use crate::inputs::{InputError, Spec};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

/// Separates the problem from the advice in a message, because serde's errors are one string.
pub(super) const HINT: &str = "\u{1f}";

/// A type that is written as text.
pub(super) trait TextForm: FromStr<Err: Complaint> + Display {
    /// The description of the type, for a user who wrote something else.
    const WHAT: &'static str;
}

impl TextForm for Target {
    const WHAT: &'static str = "a target such as mnn:vulkan:low";
}

impl TextForm for Spec {
    const WHAT: &'static str = "an input spec such as arange or normal:0";
}

impl TextForm for Via {
    const WHAT: &'static str = "a command such as ssh board offby worker";
}

/// The problem of a text, and the advice.
pub(super) trait Complaint {
    fn words(&self) -> (String, Option<String>);
}

impl Complaint for TargetError {
    fn words(&self) -> (String, Option<String>) {
        (self.to_string(), Some(self.hint().to_owned()))
    }
}

impl Complaint for ViaError {
    fn words(&self) -> (String, Option<String>) {
        (self.to_string(), Some(self.hint().to_owned()))
    }
}

impl Complaint for InputError {
    fn words(&self) -> (String, Option<String>) {
        (self.to_string(), self.hint())
    }
}

impl Complaint for String {
    fn words(&self) -> (String, Option<String>) {
        let hint = "write f16, bf16 or tf32, and nearest-even or toward-zero";
        (self.clone(), Some(hint.to_owned()))
    }
}

fn custom<E: de::Error>(problem: impl Display, hint: Option<impl Display>) -> E {
    match hint {
        Some(hint) => E::custom(format!("{problem}{HINT}{hint}")),
        None => E::custom(problem),
    }
}

/// A value inside a map or an option.
struct Text<T>(T);

impl<'de, T: TextForm> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: &str| text.parse::<T>().map_err(|error| error.words());
        visit(deserializer, T::WHAT, parse).map(Text)
    }
}

impl<T: Display> Serialize for Text<&T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

/// Reads a value outside maps and options.
pub(super) fn deserialize<'de, T: TextForm, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Text::deserialize(deserializer).map(|Text(value)| value)
}

/// Writes a value outside maps and options.
pub(super) fn serialize<T: Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Text(value).serialize(serializer)
}

/// A value that may be absent or `null`.
pub(super) mod option {
    use super::*;

    pub(in super::super) fn deserialize<'de, T: TextForm, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        Ok(Option::<Text<T>>::deserialize(deserializer)?.map(|Text(value)| value))
    }

    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().map(Text).serialize(serializer)
    }
}

/// Values by name, each name once.
pub(super) mod map {
    use super::*;
    use std::collections::BTreeMap;

    pub(in super::super) fn deserialize<'de, T: TextForm, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<ValueName, T>, D::Error> {
        deserializer.deserialize_map(Once(PhantomData))
    }

    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        values: &BTreeMap<ValueName, T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(name, value)| (name, Text(value))))
    }

    struct Once<T>(PhantomData<T>);

    impl<'de, T: TextForm> Visitor<'de> for Once<T> {
        type Value = BTreeMap<ValueName, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "names, each with {}", T::WHAT)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut values = BTreeMap::new();
            while let Some(name) = access.next_key::<ValueName>()? {
                if values.contains_key(&name) {
                    return Err(custom(format!("`{name}` is given twice"), Some("keep one")));
                }
                let Text(value) = access.next_value()?;
                values.insert(name, value);
            }
            Ok(values)
        }
    }
}

/// A name that can also be a file name: of a case or of a named target.
pub(super) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    visit(deserializer, "a name", |text| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let hint = "use letters, digits, `.`, `_` and `-`";
        match !text.is_empty() && text.chars().all(plain) {
            true => Ok(text.to_owned()),
            false => Err((format!("`{text}` is no name"), Some(hint.to_owned()))),
        }
    })
}

/// A web address, or `null`.
pub(super) fn address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    struct Address(String);
    impl<'de> Deserialize<'de> for Address {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            visit(deserializer, "a web address", |text| {
                match text.starts_with("https://") || text.starts_with("http://") {
                    true => Ok(Address(text.to_owned())),
                    false => {
                        let hint = "write it whole, beginning with https://";
                        Err((format!("`{text}` is no web address"), Some(hint.to_owned())))
                    }
                }
            })
        }
    }
    Ok(Option::<Address>::deserialize(deserializer)?.map(|Address(text)| text))
}

/// At least one name.
pub(super) fn some_names<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<ValueName>, D::Error> {
    let names = Vec::<ValueName>::deserialize(deserializer)?;
    match names.is_empty() {
        true => Err(custom("it names no value", Some("name at least one value or node"))),
        false => Ok(names),
    }
}

/// Parses a text inside a visitor, because only there do errors get their line and column.
fn visit<'de, T, D: Deserializer<'de>>(
    deserializer: D,
    what: &'static str,
    parse: impl Fn(&str) -> Result<T, (String, Option<String>)>,
) -> Result<T, D::Error> {
    struct Parsing<P>(&'static str, P);
    impl<T, P: Fn(&str) -> Result<T, (String, Option<String>)>> Visitor<'_> for Parsing<P> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            (self.1)(text).map_err(|(problem, hint)| custom(problem, hint))
        }
    }
    deserializer.deserialize_str(Parsing(what, parse))
}
