//! `docs/openapi.yaml`, and whether it is a document at all.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use shared::http::Caller;

/// What the OpenAPI Initiative says about the shape of a document ("The description of OpenAPI v3.1.x documents",
/// Apache-2.0). It leaves the Schema Objects to JSON Schema.
const OAS_3_1: &str = include_str!("oas-3.1/schema.json");
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// The HTTP contract.
pub struct Document {
    value: Value,
    /// By pointer: compiling a schema takes longer than all the rest.
    compiled: RefCell<BTreeMap<String, Result<Rc<Validator>, String>>>,
}

/// A value of the document and where it really stands, after every `$ref` on the way.
pub struct Place<'a> {
    pub pointer: String,
    pub value: &'a Value,
}

/// A method at a path.
pub struct Operation<'a> {
    pub method: String,
    pub path: &'a str,
    pub pointer: String,
    pub value: &'a Value,
}

impl Operation<'_> {
    /// `POST /api/leads`
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Who calls it. Browsers can't keep a secret, so they have nothing to prove. What is only read is for everybody.
    pub fn caller(&self) -> Caller {
        let proves_nothing = self.value["security"].as_array().is_some_and(Vec::is_empty);
        match self.method.as_str() {
            "GET" | "HEAD" if proves_nothing => Caller::Anyone,
            _ if proves_nothing => Caller::Browser,
            _ => Caller::Server,
        }
    }
}

impl Document {
    /// As it lies in the checkout.
    pub fn read() -> Self {
        let text = include_str!("../../../docs/openapi.yaml");
        let value = serde_saphyr::from_str(text).expect("docs/openapi.yaml is YAML, no key twice");
        Self { value, compiled: RefCell::default() }
    }

    /// The value at this JSON Pointer, followed through references.
    pub fn find(&self, pointer: &str) -> Option<Place<'_>> {
        let mut place = Place { pointer: String::new(), value: &self.value };
        for segment in pointer.split('/').skip(1) {
            let pointer = format!("{}/{segment}", place.pointer);
            let value = self.value.pointer(&pointer)?;
            place = match value["$ref"].as_str() {
                // Beside a schema's reference stand more keywords, so it stays as it is.
                Some(target) if !target.starts_with("#/components/schemas/") => self.find(target.strip_prefix('#')?)?,
                _ => Place { pointer, value },
            };
        }
        Some(place)
    }

    /// The names and places of the members of the object at this pointer.
    pub fn members(&self, pointer: &str) -> Vec<(&str, Place<'_>)> {
        let Some(place) = self.find(pointer) else { return Vec::new() };
        let names = place.value.as_object().into_iter().flat_map(Map::keys);
        names.filter_map(|name| Some((name.as_str(), self.find(&inside(&place.pointer, name))?))).collect()
    }

    /// Every method at every path.
    pub fn operations(&self) -> Vec<Operation<'_>> {
        let mut operations = Vec::new();
        for (path, item) in self.members("/paths") {
            for (method, Place { pointer, value }) in self.members(&item.pointer) {
                if METHODS.contains(&method) {
                    operations.push(Operation { method: method.to_uppercase(), path, pointer, value });
                }
            }
        }
        operations
    }

    /// Checks values against the schema at this pointer, formats included.
    pub fn schema(&self, pointer: &str) -> Result<Rc<Validator>, String> {
        if let Some(known) = self.compiled.borrow().get(pointer) {
            return known.clone();
        }
        // All that a schema refers to is among the components.
        let root = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": {"schemas": self.value["components"]["schemas"]},
            "allOf": [self.value.pointer(pointer)],
        });
        let options = jsonschema::options().should_validate_formats(true);
        let compiled = options.build(&root).map(Rc::new).map_err(|error| format!("{pointer}: {error}"));
        self.compiled.borrow_mut().insert(pointer.into(), compiled.clone());
        compiled
    }

    /// Writes a value, for tests of the tests; null removes what is there.
    pub fn put(&mut self, pointer: &str, value: Value) {
        self.compiled.take();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer to a member");
        let parent = self.value.pointer_mut(parent).unwrap_or_else(|| panic!("{parent} isn't there"));
        let key = key.replace("~1", "/");
        match parent {
            Value::Array(items) => items.push(value),
            Value::Object(members) if value.is_null() => drop(members.remove(&key).expect("something to remove")),
            parent => parent[key] = value,
        }
    }

    /// What is wrong with this value by the schema at this pointer.
    pub fn violations(&self, pointer: &str, value: &Value) -> Vec<String> {
        match self.schema(pointer) {
            Ok(schema) => schema.iter_errors(value).map(|error| format!("{} {error}", error.instance_path())).collect(),
            Err(error) => vec![error],
        }
    }

    /// Everything that is wrong with the document as such.
    pub fn faults(&self) -> Vec<String> {
        let oas: Value = serde_json::from_str(OAS_3_1).expect("the vendored schema is JSON");
        let oas =
            jsonschema::options().should_validate_formats(true).build(&oas).expect("the vendored schema compiles");
        let mut faults: Vec<_> =
            oas.iter_errors(&self.value).map(|error| format!("{}: {error}", error.instance_path())).collect();

        let mut found = Found::default();
        found.look(&self.value, "", Parent::Object);
        for (pointer, target) in found.references {
            if target.strip_prefix('#').and_then(|target| self.value.pointer(target)).is_none() {
                faults.push(format!("{pointer}: {target} isn't there"));
            }
        }
        for pointer in found.schemas {
            if let Err(error) =
                jsonschema::draft202012::meta::validate(&self.value.pointer(&pointer).cloned().unwrap_or_default())
            {
                faults.push(format!("{pointer}: {error}"));
            }
            faults.extend(self.schema(&pointer).err());
        }
        for (schema, pointer) in found.examples {
            let Some(example) = self.find(&pointer) else { continue };
            let violations = self.violations(&schema, example.value);
            faults.extend(violations.into_iter().map(|violation| format!("{pointer}: {violation}")));
        }
        faults.extend(self.confused_names());
        faults
    }

    /// Operation ids that aren't unique, and security schemes that nobody explains.
    fn confused_names(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut ids = BTreeSet::new();
        for operation in self.operations() {
            let id = operation.value["operationId"].as_str();
            if id.is_none_or(|id| !ids.insert(id)) {
                faults.push(format!("{}: its operationId is missing or taken", operation.name()));
            }
            let schemes = operation.value["security"].as_array().into_iter().flatten().filter_map(Value::as_object);
            for name in schemes.flat_map(Map::keys) {
                if self.find(&format!("/components/securitySchemes/{name}")).is_none() {
                    faults.push(format!("{}: there is no security scheme {name}", operation.name()));
                }
            }
        }
        faults
    }
}

/// The pointer to a member of what is at this pointer.
pub fn inside(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// What stands where in the document, by pointers.
#[derive(Default)]
struct Found {
    /// Where, and to what.
    references: Vec<(String, String)>,
    schemas: Vec<String>,
    /// The schema, and the example.
    examples: Vec<(String, String)>,
}

/// Whether the keys of an object are keywords, or names that somebody made up.
#[derive(Clone, Copy, PartialEq)]
enum Parent {
    Object,
    Schema,
    /// Of schemas.
    Map,
}

impl Found {
    fn look(&mut self, value: &Value, pointer: &str, parent: Parent) {
        match value {
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.look(item, &format!("{pointer}/{at}"), parent);
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    self.look_at_member(members, key, member, pointer, parent);
                }
            }
            _ => {}
        }
    }

    fn look_at_member(&mut self, all: &Map<String, Value>, key: &str, member: &Value, pointer: &str, parent: Parent) {
        let at = inside(pointer, key);
        match (parent, key) {
            (Parent::Map, _) | (Parent::Object, "schema") => {
                self.look(member, &at, Parent::Schema);
                self.schemas.push(at);
            }
            (_, "$ref") => self.references.push((pointer.into(), member.as_str().unwrap_or_default().into())),
            (Parent::Schema, "properties" | "$defs" | "patternProperties") | (Parent::Object, "schemas") => {
                self.look(member, &at, Parent::Map);
            }
            (Parent::Schema, "examples") => {
                let examples = (0..member.as_array().map_or(0, Vec::len)).map(|n| format!("{at}/{n}"));
                self.examples.extend(examples.map(|example| (pointer.into(), example)));
            }
            (Parent::Schema, "const" | "enum" | "default") | (Parent::Object, "value") => {}
            (Parent::Object, "example") => self.examples.push((format!("{pointer}/schema"), at)),
            (Parent::Object, "examples") => {
                if all.contains_key("schema") {
                    let names = member.as_object().into_iter().flat_map(Map::keys);
                    let values = names.map(|name| format!("{}/value", inside(&at, name)));
                    self.examples.extend(values.map(|value| (format!("{pointer}/schema"), value)));
                }
                self.look(member, &at, parent);
            }
            _ => self.look(member, &at, parent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_fault_is_reported() {
        let mistakes = [
            ("/info/title", Value::Null, "/info: \"title\" is a required property"),
            ("/paths/~1api~1leads/post/sumary", json!("Store"), "/paths/~1api~1leads/post: Unevaluated"),
            ("/paths/~1api~1leads/post/operationId", json!("trackVisit"), "its operationId is missing or taken"),
            ("/paths/~1api~1leads/post/security/-", json!({"Nobody": []}), "there is no security scheme Nobody"),
            ("/components/schemas/AdConsent/$ref", json!("#/components/schemas/Nowhere"), "Nowhere isn't there"),
            ("/components/schemas/LastTime/type", json!("strin"), "/components/schemas/LastTime: "),
            ("/components/schemas/Phone/pattern", json!("("), "/components/schemas/Phone: "),
            ("/components/schemas/VisitStored/properties/returning", json!(false), "/examples/first/value: /returning"),
            ("/components/schemas/Event/properties/event_name", json!(false), "/examples/bare/value: /event_name"),
            ("/components/schemas/PlatformName/examples/-", json!("Google Ads"), "PlatformName/examples/3: "),
            ("/components/headers/Retry-After/example", json!("soon"), "/components/headers/Retry-After/example: "),
            ("/components/examples/Unavailable/value/status", json!(500), "/examples/unavailable/value: /status"),
        ];
        let mut document = Document::read();
        for (pointer, mistake, _) in &mistakes {
            document.put(pointer, mistake.clone());
        }
        let faults = document.faults();
        for (pointer, _, expected) in mistakes {
            assert!(faults.iter().any(|fault| fault.contains(expected)), "{pointer}: {expected} not in {faults:#?}");
        }
    }
}
