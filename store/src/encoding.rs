//! The canonical bytes of a request: tagged, ordered, length-prefixed, so that no two requests share them.
//!
//! A change here changes every fingerprint: raise the version in [`DOMAIN`] and add a fixture.

use crate::{Digest, Field, Input, Request, Value};

const DOMAIN: &[u8] = b"mlsm request 1\n";

pub(crate) fn encode(request: &Request) -> Vec<u8> {
    let Request { stage, version, recipe, inputs } = request;
    let mut out = DOMAIN.to_vec();
    text(&mut out, stage);
    out.extend(version.to_le_bytes());
    length(&mut out, recipe.len());
    for Field { key, value: v } in recipe {
        text(&mut out, key);
        value(&mut out, v);
    }
    length(&mut out, inputs.len());
    for Input { name, digest } in inputs {
        text(&mut out, name);
        out.extend(digest.as_bytes());
    }
    out
}

fn length(out: &mut Vec<u8>, n: usize) {
    out.extend((n as u64).to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    length(out, text.len());
    out.extend(text.as_bytes());
}

fn value(out: &mut Vec<u8>, v: &Value) {
    match v {
        Value::Null => out.push(b'n'),
        Value::Bool(v) => out.extend([b'b', u8::from(*v)]),
        Value::Int(v) => {
            out.push(b'i');
            out.extend(v.to_le_bytes());
        }
        Value::Float(v) => {
            // Zero has two signs and "not a number" many faces; each is one value to a recipe.
            let canonical = if v.is_nan() { f64::NAN } else { v + 0.0 };
            out.push(b'f');
            out.extend(canonical.to_bits().to_le_bytes());
        }
        Value::Text(v) => {
            out.push(b't');
            text(out, v);
        }
        Value::List(values) => {
            out.push(b'l');
            length(out, values.len());
            values.iter().for_each(|v| value(out, v));
        }
    }
}

pub(crate) fn decode(bytes: &[u8]) -> Option<Request> {
    let mut reader = Reader(bytes.strip_prefix(DOMAIN)?);
    let stage = reader.text()?;
    let version = u32::from_le_bytes(reader.take()?);
    let recipe = reader.list(|r| Some(Field { key: r.text()?, value: r.value(0)? }))?;
    let inputs = reader.list(|r| Some(Input { name: r.text()?, digest: Digest::from_bytes(r.take()?) }))?;
    reader.0.is_empty().then_some(Request { stage, version, recipe, inputs })
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn length(&mut self) -> Option<usize> {
        let n = usize::try_from(u64::from_le_bytes(self.take()?)).ok()?;
        (n <= self.0.len()).then_some(n)
    }

    fn text(&mut self) -> Option<String> {
        let n = self.length()?;
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        String::from_utf8(head.to_vec()).ok()
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.length()?).map(|_| one(self)).collect()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        let [tag] = self.take()?;
        Some(match tag {
            b'n' => Value::Null,
            b'b' => match self.take()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return None,
            },
            b'i' => Value::Int(i64::from_le_bytes(self.take()?)),
            b'f' => Value::Float(f64::from_bits(u64::from_le_bytes(self.take()?))),
            b't' => Value::Text(self.text()?),
            b'l' if depth < 64 => Value::List(self.list(|r| r.value(depth + 1))?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            prop::num::f64::NORMAL.prop_map(Value::Float),
            ".*".prop_map(Value::Text),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::List))
    }

    prop_compose! {
        fn any_request()(
            stage in ".*", version: u32,
            recipe in prop::collection::vec((".*", any_value()), 0..6),
            inputs in prop::collection::vec((".*", any::<[u8; 32]>()), 0..6),
        ) -> Request {
            let recipe = recipe.into_iter().map(|(key, value)| Field { key, value }).collect();
            let inputs = inputs.into_iter().map(|(name, d)| Input { name, digest: Digest::from_bytes(d) }).collect();
            Request { stage, version, recipe, inputs }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_can_be_read_back_so_no_two_requests_share_bytes(request in any_request()) {
            prop_assert_eq!(decode(&encode(&request)), Some(request));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut all = DOMAIN.to_vec();
            all.extend(&bytes);
            if let Some(request) = decode(&all) {
                prop_assert_eq!(encode(&request).len(), all.len());
            }
        }
    }

    #[test]
    fn both_zeros_are_one_value() {
        let of = |v| {
            let mut out = Vec::new();
            value(&mut out, &Value::Float(v));
            out
        };
        assert_eq!(of(0.0), of(-0.0));
        assert_eq!(of(f64::NAN), of(-f64::NAN));
        assert_ne!(of(0.0), of(1.0));
    }

    #[test]
    fn the_encoding_stays_what_it_was() {
        let recipe = vec![Field { key: "k".to_owned(), value: Value::from(vec![1i64, 2]) }];
        let request = Request { stage: "s".to_owned(), version: 1, recipe, inputs: Vec::new() };
        let fixed = include_str!("../fixtures/request-1.fingerprint");
        assert_eq!(request.fingerprint().to_string(), fixed.trim());
    }
}
