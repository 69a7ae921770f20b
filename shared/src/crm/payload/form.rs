//! Forms (application/x-www-form-urlencoded) as objects.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{Read, refusal};
use crate::http::body::{Mended, Oddity, OddityKind, escaped};
use crate::http::problem::FieldError;
use crate::warning::Warning;

const NAMELESS: &str = "must name every field.";
/// As deep as JSON may be.
const MAX_DEPTH: usize = 16;

/// The fields of a form. A name that comes again has the array of its values. Names with brackets, such as
/// `leads[0][id]`, stand as they are, and are read as objects and arrays besides. Unless it is strict, a character that
/// is none becomes U+FFFD, and a value without a name is left out.
pub(super) fn read(body: &[u8], is_strict: bool) -> Result<Read, FieldError> {
    let body = body.trim_ascii_end();
    if body.is_empty() {
        return Err(refusal("", "must not be empty."));
    }
    // Form encoders escape these characters, which are common in JSON and HTML.
    let is_plain = body.iter().all(|byte| !byte.is_ascii_control() && !b" \"<>\\^`{|}".contains(byte));
    let mut escapes = body.split(|byte| *byte == b'%').skip(1);
    if !is_plain || !escapes.all(|escape| escape.len() >= 2 && escape[..2].iter().all(u8::is_ascii_hexdigit)) {
        return Err(refusal("", "must be application/x-www-form-urlencoded."));
    }
    let mut fields = Map::new();
    let mut nested = Nested::default();
    let mut oddities = Vec::new();
    for (name, value) in form_urlencoded::parse(body) {
        // Invalid UTF-8 is decoded to the replacement character, which no form contains on purpose.
        let is_utf_8 = ![&name, &value].iter().any(|text| text.contains(char::REPLACEMENT_CHARACTER));
        // A byte order mark may have been escaped with the name after it.
        let name = if fields.is_empty() { name.trim_start_matches('\u{feff}') } else { &name };
        let has_nul = name.contains('\0') || value.contains('\0');
        if is_strict && !is_utf_8 {
            return Err(refusal("", "must be in UTF-8."));
        }
        if is_strict && (name.is_empty() || name.contains('\0')) {
            return Err(refusal("", NAMELESS));
        }
        if is_strict && has_nul {
            return Err(refusal(&pointer(name), "must not contain U+0000"));
        }
        let (name, value) = (name.replace('\0', "\u{fffd}"), value.replace('\0', "\u{fffd}"));
        if name.is_empty() {
            continue;
        }
        if has_nul || !is_utf_8 {
            oddities.push(Oddity { pointer: pointer(&name), kind: OddityKind::Character });
        }
        nested.put(&name, &value);
        add(&mut fields, &name, value.into());
    }
    if fields.is_empty() {
        return Err(refusal("", NAMELESS));
    }
    Ok(Read { value: nested.beside(fields), oddities, is_mended: false })
}

/// Where the value of this name is.
fn pointer(name: &str) -> String {
    let parts = path(name).unwrap_or_else(|| vec![name]);
    parts.into_iter().fold(String::new(), |at, part| at + "/" + &escaped(part))
}

/// The fields of a form of people: whatever can be read of it is. A name with brackets stands only for objects and
/// arrays.
pub(super) fn read_all(written: impl Iterator<Item = (String, String)>) -> Mended {
    let mut fields = Map::new();
    let mut nested = Nested::default();
    let mut has_nul = false;
    for (name, value) in written {
        has_nul |= name.contains('\0') || value.contains('\0');
        let (name, value) = (name.replace('\0', ""), value.replace('\0', ""));
        if !name.is_empty() && !nested.put(&name, &value) {
            add(&mut fields, &name, value.into());
        }
    }
    let detail = "has U+0000 in it, which can't be stored: it was left out";
    let warnings = has_nul.then(|| Warning { field: "body", detail: detail.into() }).into_iter().collect();
    Mended { value: nested.beside(fields), warnings }
}

/// Are these the elements of a list, each under its number?
pub(super) fn numbers_its(object: &Map<String, Value>) -> bool {
    let is_number = |name: &String| name.len() <= 18 && !name.is_empty() && name.bytes().all(|it| it.is_ascii_digit());
    object.keys().all(is_number) && object.values().any(Value::is_object)
}

/// Another value of the same name makes an array. The same value again says nothing new.
fn add(fields: &mut Map<String, Value>, name: &str, value: Value) {
    match fields.get_mut(name) {
        None => drop(fields.insert(name.to_owned(), value)),
        Some(known) if *known == value => {}
        Some(Value::Array(values)) => values.push(value),
        Some(known) => *known = Value::Array(vec![known.take(), value]),
    }
}

/// The parts of a name with brackets; none if it has no such brackets.
fn path(name: &str) -> Option<Vec<&str>> {
    let (root, rest) = name.split_once('[')?;
    let parts: Vec<&str> = rest.strip_suffix(']')?.split("][").collect();
    let is_path = !root.is_empty() && parts.len() < MAX_DEPTH && !parts.iter().any(|it| it.contains(['[', ']']));
    is_path.then(|| [vec![root], parts].concat())
}

/// What names with brackets say.
#[derive(Default)]
struct Nested(Node);

impl Nested {
    /// Puts a value where the name says. False if the name has no brackets.
    fn put(&mut self, name: &str, value: &str) -> bool {
        let path = path(name);
        if let Some(path) = &path {
            self.0.put(path, value);
        }
        path.is_some()
    }

    /// With these fields. What is called so itself stays.
    fn beside(self, mut fields: Map<String, Value>) -> Value {
        for (name, node) in self.0.children {
            fields.entry(name).or_insert_with(|| node.into_value());
        }
        Value::Object(fields)
    }
}

/// A value that is being put together.
#[derive(Default)]
struct Node {
    values: Vec<String>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn put(&mut self, path: &[&str], value: &str) {
        match path.split_first() {
            None if self.values.iter().any(|known| known == value) => {}
            None => self.values.push(value.to_owned()),
            Some((name, rest)) => {
                // `tags[]` is the next element.
                let name = if name.is_empty() { self.children.len().to_string() } else { (*name).to_owned() };
                self.children.entry(name).or_default().put(rest, value);
            }
        }
    }

    fn into_value(mut self) -> Value {
        if self.children.is_empty() {
            return match self.values.len() {
                1 => self.values.remove(0).into(),
                _ => self.values.into(),
            };
        }
        let in_places: Vec<_> =
            (0..self.children.len()).map_while(|at| self.children.remove(&at.to_string())).collect();
        if self.children.is_empty() {
            return in_places.into_iter().map(Node::into_value).collect();
        }
        let numbered = in_places.into_iter().enumerate().map(|(at, node)| (at.to_string(), node));
        Value::Object(numbered.chain(self.children).map(|(name, node)| (name, node.into_value())).collect())
    }
}
