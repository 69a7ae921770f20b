//! `template.yaml`, with CloudFormation's short forms (`!Ref`) as the objects that they stand for (`{"Ref": …}`).

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};
use serde_saphyr::Tagged;

/// The template, which a test of the tests may change.
#[derive(Clone)]
pub struct Template {
    pub text: String,
    pub value: Value,
}

impl Template {
    /// As it lies in the checkout.
    pub fn read() -> Self {
        Self::parse(include_str!("../../../template.yaml"))
    }

    pub fn parse(text: &str) -> Self {
        let Node(value) = serde_saphyr::from_str(text).expect("template.yaml is YAML, no key twice");
        Self { text: text.to_owned(), value }
    }

    /// The resources of this type, by their names in the template.
    pub fn resources(&self, kind: &str) -> Vec<(&str, &Value)> {
        let all = self.value["Resources"].as_object().into_iter().flatten();
        all.filter(|(_, it)| it["Type"] == kind).map(|(name, it)| (name.as_str(), &it["Properties"])).collect()
    }

    /// The functions, by their names in the template, with what `Globals` says where they don't.
    pub fn functions(&self) -> Vec<(&str, Value)> {
        let globals = &self.value["Globals"]["Function"];
        let functions = self.resources("AWS::Serverless::Function").into_iter();
        functions.map(|(name, own)| (name, merged(globals, own))).collect()
    }

    /// Is the resource there with these parameters?
    pub fn is_there(&self, resource: &str, parameters: &BTreeMap<&str, &str>) -> bool {
        let condition = self.value["Resources"][resource]["Condition"].as_str();
        condition.is_none_or(|name| self.holds(&self.value["Conditions"][name], parameters))
    }

    /// The folder of `functions/` that this function is built from.
    pub fn binary(&self, function: &str) -> &str {
        let metadata = &self.value["Resources"][function]["Metadata"];
        metadata["BuildProperties"]["Binary"].as_str().unwrap_or("no binary")
    }

    /// The events of this type that start functions: the function's name and the event's properties.
    pub fn events(&self, kind: &str) -> Vec<(&str, &Value)> {
        let functions = self.resources("AWS::Serverless::Function").into_iter();
        let events = functions.flat_map(|(function, it)| {
            let events = it["Events"].as_object().into_iter().flat_map(Map::values);
            events.map(move |event| (function, event))
        });
        events.filter(|(_, event)| event["Type"] == kind).map(|(function, it)| (function, &it["Properties"])).collect()
    }

    /// The value that CloudFormation makes of this one with these parameters. None for `AWS::NoValue`.
    pub fn resolved(&self, value: &Value, parameters: &BTreeMap<&str, &str>) -> Option<String> {
        if let Some(name) = value["Ref"].as_str() {
            if self.value["Resources"][name]["Type"] == "AWS::SQS::Queue" {
                return Some(format!("https://sqs.eu-central-1.amazonaws.com/123456789012/{name}"));
            }
            return (name != "AWS::NoValue").then(|| (*parameters.get(name).unwrap_or(&"")).to_owned());
        }
        if let Some([condition, yes, no]) = value["Fn::If"].as_array().map(Vec::as_slice) {
            let holds = self.holds(&self.value["Conditions"][condition.as_str()?], parameters);
            return self.resolved(if holds { yes } else { no }, parameters);
        }
        value.as_str().map_or_else(|| Some(value.to_string()), |text| Some(text.to_owned()))
    }

    fn holds(&self, condition: &Value, parameters: &BTreeMap<&str, &str>) -> bool {
        let Some((function, operands)) = condition.as_object().and_then(|it| it.iter().next()) else { return false };
        let operands: Vec<_> = operands.as_array().into_iter().flatten().collect();
        match function.as_str() {
            "Fn::Not" => !self.holds(operands[0], parameters),
            "Fn::And" => operands.iter().all(|it| self.holds(it, parameters)),
            "Fn::Equals" => self.resolved(operands[0], parameters) == self.resolved(operands[1], parameters),
            "Condition" => {
                let name = condition["Condition"].as_str().expect("a name");
                self.holds(&self.value["Conditions"][name], parameters)
            }
            other => panic!("this test doesn't know {other}"),
        }
    }

    /// The same with another value at this pointer. Null removes what is there.
    pub fn with(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer to a member");
        let parent = self.value.pointer_mut(parent).unwrap_or_else(|| panic!("{parent} isn't there"));
        let key = key.replace("~1", "/");
        match parent {
            Value::Array(items) if key == "-" => items.push(value),
            Value::Array(items) if value.is_null() => drop(items.remove(key.parse().expect("an index"))),
            Value::Object(members) if value.is_null() => {
                members.remove(&key).unwrap_or_else(|| panic!("{pointer} isn't there"));
            }
            Value::Array(items) => items[key.parse::<usize>().expect("an index")] = value,
            parent => parent[key] = value,
        }
        self
    }
}

/// What SAM does with `Globals`: objects are merged, everything else is the function's own where it has one.
fn merged(globals: &Value, own: &Value) -> Value {
    let (Value::Object(globals), Value::Object(own)) = (globals, own) else { return own.clone() };
    let mut all = globals.clone();
    for (name, value) in own {
        let value = all.get(name).map_or_else(|| value.clone(), |global| merged(global, value));
        all.insert(name.clone(), value);
    }
    Value::Object(all)
}

struct Node(Value);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Tagged(Untagged(value), tag) = Tagged::deserialize(deserializer)?;
        let Some(function) = tag.as_deref().and_then(|tag| tag.strip_prefix('!')) else { return Ok(Self(value)) };
        let name = match function {
            "Ref" | "Condition" => function.to_owned(),
            _ => format!("Fn::{function}"),
        };
        Ok(Self(json!({ name: value })))
    }
}

struct Untagged(Value);

impl<'de> Deserialize<'de> for Untagged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a value of YAML")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Node(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Node(member))) = members.next_entry::<String, Node>()? {
            object.insert(name, member);
        }
        Ok(object.into())
    }
}

#[test]
fn short_forms_become_the_objects_that_they_stand_for() {
    let text = "a: !Ref B\nc: !If [D, !Sub \"${E}\", !Ref \"AWS::NoValue\"]\nf: !GetAtt G.Arn\nh: [1, true, \"yes\"]\n";
    assert_eq!(
        Template::parse(text).value,
        json!({
            "a": {"Ref": "B"},
            "c": {"Fn::If": ["D", {"Fn::Sub": "${E}"}, {"Ref": "AWS::NoValue"}]},
            "f": {"Fn::GetAtt": "G.Arn"},
            "h": [1, true, "yes"],
        })
    );
}
