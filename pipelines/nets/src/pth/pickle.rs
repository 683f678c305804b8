//! A pickle machine for state dicts: about forty instructions, ten names, no calls.
//!
//! Values live in one arena and refer to each other by index, so neither nesting nor cycles can overflow the stack,
//! and every list is counted against one limit. No value is copied: what is short in a file is short in memory.

use std::collections::{BTreeMap, HashMap};

use super::tensor::{Element, Storage};
use super::{bad, brief};
use crate::error::NetError;

/// A state dict of 100,000 tensors needs about two million values.
const MAX_VALUES: usize = 8 << 20;

/// PyTorch numbers its storages; a key is copied wherever it is named.
const MAX_KEY_BYTES: usize = 64;

/// The index of a value in the arena.
pub(super) type Id = usize;

/// One value of the machine.
#[derive(Debug)]
pub(super) enum Value {
    /// Anything that is skipped: None, floats, bytes, attributes.
    Other,
    Int(i64),
    Text(String),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    /// Arguments of `_rebuild_tensor_v2`: storage, offset, size, stride.
    Tensor([Id; 4]),
}

/// The names that a file may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
}

fn global(module: &str, name: &str) -> Result<Global, NetError> {
    let element = |element| Ok(Global::Storage(element));
    match (module, name) {
        ("collections", "OrderedDict") => Ok(Global::OrderedDict),
        ("torch._utils", "_rebuild_tensor_v2") => Ok(Global::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Ok(Global::RebuildParameter),
        ("torch", "FloatStorage") => element(Element::F32),
        ("torch", "DoubleStorage") => element(Element::F64),
        ("torch", "HalfStorage") => element(Element::F16),
        ("torch", "BFloat16Storage") => element(Element::Bf16),
        ("torch", "LongStorage") => element(Element::I64),
        ("torch", "IntStorage") => element(Element::I32),
        ("torch", "ByteStorage") => element(Element::U8),
        ("torch", "BoolStorage") => element(Element::Bool),
        _ => Err(NetError::UnsafePth { global: brief(format!("{module}.{name}")) }),
    }
}

/// What a pickle built.
pub(super) struct Content {
    values: Vec<Value>,
    root: Id,
}

impl Content {
    pub(super) fn root(&self) -> Id {
        self.root
    }

    pub(super) fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// The root as a list of strings.
    pub(super) fn strings(&self) -> Result<Vec<String>, NetError> {
        let Value::List(items) = self.value(self.root) else { return Err(bad("the keys of its storages are no list")) };
        let text = |id: &Id| match self.value(*id) {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(bad("a key of its storages is no string")),
        };
        items.iter().map(text).collect()
    }

    /// All storages that are named, each once, by key.
    pub(super) fn storages(&self) -> Result<Vec<Storage>, NetError> {
        let mut found: BTreeMap<&str, &Storage> = BTreeMap::new();
        for value in &self.values {
            if let Value::Storage(storage) = value
                && found.insert(&storage.key, storage).is_some_and(|other| other != storage)
            {
                return Err(bad(format!("storage `{}` has two types", storage.key)));
            }
        }
        Ok(found.into_values().cloned().collect())
    }
}

/// Runs one pickle at the start of `bytes`; says how many bytes it took.
pub(super) fn run(bytes: &[u8]) -> Result<(Content, usize), NetError> {
    let mut machine =
        Machine { bytes, at: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        let code = machine.byte()?;
        if code == b'.' {
            let root = machine.pop()?;
            return Ok((Content { values: machine.values, root }, machine.at));
        }
        machine.step(code)?;
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, code: u8) -> Result<(), NetError> {
        match code {
            0x80 => self.take(1).map(|_| ()), // PROTO
            0x95 => self.take(8).map(|_| ()), // FRAME
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(|_| ()),
            b'q' | b'r' | b'h' | b'j' | 0x94 => self.step_memo(code),
            b'}' | b']' | b')' | b't' | 0x85..=0x87 | b'a' | b'e' | b's' | b'u' => self.step_container(code),
            b'c' | 0x93 | b'R' | b'b' | b'Q' => self.step_call(code),
            _ => self.step_scalar(code),
        }
    }

    fn step_scalar(&mut self, code: u8) -> Result<(), NetError> {
        let value = match code {
            b'N' => Value::Other,
            0x88 => Value::Int(1),
            0x89 => Value::Int(0),
            b'J' => Value::Int(i32::from_le_bytes(self.array()?).into()),
            b'K' => Value::Int(self.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(self.array()?).into()),
            0x8a => self.long()?,
            b'G' => self.take(8).map(|_| Value::Other)?,
            b'X' => {
                let length = self.length4()?;
                self.text(length)?
            }
            0x8c => {
                let length = self.byte()?.into();
                self.text(length)?
            }
            b'T' | b'B' => {
                let length = self.length4()?;
                self.bytes_or_text(code == b'T', length)?
            }
            b'U' | b'C' => {
                let length = self.byte()?.into();
                self.bytes_or_text(code == b'U', length)?
            }
            _ => return Err(bad(format!("it uses pickle instruction 0x{code:02x}, which a state dict does not need"))),
        };
        self.push(value)
    }

    fn step_memo(&mut self, code: u8) -> Result<(), NetError> {
        let key = match code {
            b'q' | b'h' => self.byte()?.into(),
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            _ => self.memo.len() as u32,
        };
        if matches!(code, b'h' | b'j') {
            let id = *self.memo.get(&key).ok_or_else(|| bad("it recalls a value that it never kept"))?;
            self.stack.push(id);
        } else {
            self.memo.insert(key, self.top()?);
        }
        Ok(())
    }

    fn step_container(&mut self, code: u8) -> Result<(), NetError> {
        match code {
            b'}' => self.push(Value::Dict(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items))
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(code - 0x84))?;
                self.push(Value::Tuple(items))
            }
            b'a' | b'e' => {
                let items = if code == b'a' { self.pop_many(1)? } else { self.pop_to_mark()? };
                let Value::List(list) = self.top_value()? else { return Err(bad("it appends to what is no list")) };
                list.extend(items);
                Ok(())
            }
            _ => {
                let items = if code == b's' { self.pop_many(2)? } else { self.pop_to_mark()? };
                let Value::Dict(dict) = self.top_value()? else { return Err(bad("it sets items of what is no dict")) };
                if items.len() % 2 != 0 {
                    return Err(bad("it sets a key without a value"));
                }
                dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
                Ok(())
            }
        }
    }

    fn step_call(&mut self, code: u8) -> Result<(), NetError> {
        match code {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(global(&module, &name)?))
            }
            0x93 => {
                let parts = self.pop_many(2)?;
                let (Value::Text(module), Value::Text(name)) = (&self.values[parts[0]], &self.values[parts[1]]) else {
                    return Err(bad("a name in it is no string"));
                };
                let found = global(module, name)?;
                self.push(Value::Global(found))
            }
            b'R' => self.reduce(),
            b'b' => self.pop().map(|_| ()), // attributes set on the dict or tensor below: skipped
            _ => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(Value::Storage(storage))
            }
        }
    }

    /// A "call": the names that may stand here have one meaning each.
    fn reduce(&mut self) -> Result<(), NetError> {
        let parts = self.pop_many(2)?;
        let unknown = || bad("it calls something in a way that a state dict does not");
        let Value::Tuple(arguments) = &self.values[parts[1]] else { return Err(bad("a call in it has no arguments")) };
        let value = match (&self.values[parts[0]], &arguments[..]) {
            (Value::Global(Global::OrderedDict), []) => Value::Dict(Vec::new()),
            (Value::Global(Global::RebuildTensor), [storage, offset, size, stride, ..]) => {
                Value::Tensor([*storage, *offset, *size, *stride])
            }
            (Value::Global(Global::RebuildParameter), [tensor, ..]) => match &self.values[*tensor] {
                Value::Tensor(parts) => Value::Tensor(*parts),
                _ => return Err(unknown()),
            },
            _ => return Err(unknown()),
        };
        self.push(value)
    }

    /// A persistent id: `("storage", type, key, location, length)`, and a view that must be None.
    fn storage(&self, id: Id) -> Result<Storage, NetError> {
        let unknown = || bad("a storage in it is described in an unknown way");
        let Value::Tuple(parts) = &self.values[id] else { return Err(unknown()) };
        let value = |index: usize| parts.get(index).map(|id| &self.values[*id]);
        let (Some(Value::Text(word)), Some(Value::Global(Global::Storage(element))), Some(Value::Text(key))) =
            (value(0), value(1), value(2))
        else {
            return Err(unknown());
        };
        let whole = matches!(value(5), None | Some(Value::Other));
        if word != "storage" || !whole {
            return Err(unknown());
        }
        if key.len() > MAX_KEY_BYTES {
            return Err(bad(format!("the key of a storage in it is longer than {MAX_KEY_BYTES} bytes")));
        }
        Ok(Storage { key: key.clone(), element: *element })
    }

    fn push(&mut self, value: Value) -> Result<(), NetError> {
        if self.values.len() >= MAX_VALUES {
            return Err(bad(format!("it holds more than {MAX_VALUES} values")));
        }
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
        Ok(())
    }

    fn top(&self) -> Result<Id, NetError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            Err(bad("it takes from an empty stack"))
        } else {
            Ok(self.stack[self.stack.len() - 1])
        }
    }

    fn top_value(&mut self) -> Result<&mut Value, NetError> {
        let id = self.top()?;
        Ok(&mut self.values[id])
    }

    fn pop(&mut self) -> Result<Id, NetError> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, NetError> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<Id>, NetError>>()?;
        items.reverse();
        Ok(items)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, NetError> {
        let mark = self.marks.pop().ok_or_else(|| bad("it closes what it never opened"))?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], NetError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| bad("it ends early"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, NetError> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NetError> {
        Ok(self.take(N)?.try_into().expect("N bytes were taken"))
    }

    fn length4(&mut self) -> Result<usize, NetError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn text(&mut self, length: usize) -> Result<Value, NetError> {
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| bad("a string in it is no UTF-8"))?;
        Ok(Value::Text(text.to_owned()))
    }

    /// Old strings are bytes: those of Python 2 may be names, those of Python 3 never are.
    fn bytes_or_text(&mut self, may_be_text: bool, length: usize) -> Result<Value, NetError> {
        if may_be_text { self.text(length) } else { self.take(length).map(|_| Value::Other) }
    }

    fn line(&mut self) -> Result<String, NetError> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| bad("it ends early"))?;
        self.at += end + 1;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    /// A long of up to eight bytes; a longer one is no size of ours.
    fn long(&mut self) -> Result<Value, NetError> {
        let length = usize::from(self.byte()?);
        let digits = self.take(length)?;
        if length > 8 {
            return Ok(Value::Other);
        }
        let sign = if digits.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut whole = [sign; 8];
        whole[..length].copy_from_slice(digits);
        Ok(Value::Int(i64::from_le_bytes(whole)))
    }
}
