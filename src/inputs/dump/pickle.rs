//! The part of Python's pickle format that files of `torch.save` need, and no more.
//!
//! A pickle is a program for a small machine, and Python runs whatever it names. Here a name is only compared with a
//! list: the constructors of tensors. Everything else is refused, so no file can run code.

use crate::tensor::Dtype;
use std::collections::BTreeMap;

/// The most operations of one pickle, and the most values on its stack.
const MOST_STEPS: usize = 4_000_000;
/// The most values that may be copied, because a value that is used twice exists twice here.
const MOST_COPIES: usize = 8_000_000;
/// How deep values may contain each other. A state dict is four deep.
const MOST_DEPTH: usize = 64;

/// A value of the machine.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Text(String),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// One of the names of [`KNOWN`].
    Name(Name),
    /// The elements of tensors: a file of the archive.
    Storage {
        dtype: Dtype,
        key: String,
    },
    /// A tensor in a storage.
    Tensor(View),
}

/// A tensor's place in its storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) key: String,
    pub(super) dtype: Dtype,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// What a known name makes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Name {
    OrderedDict,
    Tensor,
    Parameter,
    Size,
    Storage(Dtype),
}

/// The only names that a pickle may have.
const KNOWN: &[(&str, &str, Name)] = &[
    ("collections", "OrderedDict", Name::OrderedDict),
    ("torch._utils", "_rebuild_tensor_v2", Name::Tensor),
    ("torch._utils", "_rebuild_parameter", Name::Parameter),
    ("torch", "Size", Name::Size),
    ("torch", "DoubleStorage", Name::Storage(Dtype::F64)),
    ("torch", "FloatStorage", Name::Storage(Dtype::F32)),
    ("torch", "HalfStorage", Name::Storage(Dtype::F16)),
    ("torch", "BFloat16Storage", Name::Storage(Dtype::Bf16)),
    ("torch", "LongStorage", Name::Storage(Dtype::I64)),
    ("torch", "IntStorage", Name::Storage(Dtype::I32)),
    ("torch", "ShortStorage", Name::Storage(Dtype::I16)),
    ("torch", "CharStorage", Name::Storage(Dtype::I8)),
    ("torch", "ByteStorage", Name::Storage(Dtype::U8)),
    ("torch", "BoolStorage", Name::Storage(Dtype::Bool)),
];

/// Reads a pickle.
///
/// # Errors
/// If it is cut off, names anything but tensors, or uses an operation that such files do not need.
pub(super) fn unpickle(bytes: &[u8]) -> Result<Value, String> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        copies: 0,
    };
    for _ in 0..MOST_STEPS {
        if let Some(value) = machine.step()? {
            return Ok(value);
        }
        if machine.stack.len() > MOST_STEPS {
            break;
        }
    }
    Err(format!("it has more than {MOST_STEPS} operations"))
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    /// Where the open groups begin.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value>,
    copies: usize,
}

impl Value {
    /// The number of values in this one, itself included.
    ///
    /// # Errors
    /// If they are too deep.
    fn count(&self, depth: usize) -> Result<usize, String> {
        if depth > MOST_DEPTH {
            return Err(format!("its values are more than {MOST_DEPTH} deep"));
        }
        let all = |values: &[Value]| -> Result<usize, String> {
            values.iter().map(|value| value.count(depth + 1)).sum()
        };
        Ok(1 + match self {
            Value::Tuple(values) | Value::List(values) => all(values)?,
            Value::Dict(entries) => entries
                .iter()
                .map(|(key, value)| Ok(key.count(depth + 1)? + value.count(depth + 1)?))
                .sum::<Result<usize, String>>()?,
            _ => 0,
        })
    }
}

impl<'a> Machine<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or("the pickle is cut off")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or("the pickle is cut off")?;
        let line = self.take(length + 1)?;
        std::str::from_utf8(&line[..length]).map_err(|error| error.to_string())
    }

    fn text(&mut self, length: usize) -> Result<Value, String> {
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        Ok(Value::Text(text.to_owned()))
    }

    fn pop(&mut self) -> Result<Value, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => Ok(self.stack.pop().unwrap_or(Value::None)),
            false => Err("an operation lacks its values".into()),
        }
    }

    /// The values since the last mark.
    fn group(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().ok_or("a group was not opened")?;
        let values = self.stack.split_off(mark);
        values.iter().try_for_each(|value| value.count(1).map(drop))?;
        Ok(values)
    }

    /// Runs one operation; returns the result of the whole at its end.
    fn step(&mut self) -> Result<Option<Value>, String> {
        let operation = self.byte()?;
        match operation {
            b'.' => return self.pop().map(Some),
            b'\x80' => _ = self.byte()?,
            b'\x95' => _ = self.take(8)?,
            b'(' => self.marks.push(self.stack.len()),
            b'0' => _ = self.pop()?,
            b'q' | b'r' | b'\x94' => self.keep(operation)?,
            b'h' | b'j' => {
                let index = if operation == b'h' { u32::from(self.byte()?) } else { self.u32()? };
                let kept = self.memo.get(&index).cloned();
                let kept = kept.ok_or("a value is used before it is made")?;
                self.charge(&kept)?;
                self.stack.push(kept);
            }
            b't' | b'l' | b'd' | b'a' | b'e' | b's' | b'u' | b'\x85'..=b'\x87' => {
                self.collect(operation)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                let known = named(module, name)?;
                self.stack.push(known);
            }
            b'\x93' => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return Err("a name is no text".into());
                };
                self.stack.push(named(&module, &name)?);
            }
            b'Q' => {
                let id = self.pop()?;
                self.stack.push(storage(id)?);
            }
            b'R' => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                self.stack.push(called(&callee, arguments)?);
            }
            // The attributes of an OrderedDict, such as a state dict's metadata, are no tensors.
            b'b' => _ = self.pop()?,
            _ => {
                let value = self.literal(operation)?;
                self.stack.push(value);
            }
        }
        Ok(None)
    }

    fn keep(&mut self, operation: u8) -> Result<(), String> {
        let index = match operation {
            b'q' => u32::from(self.byte()?),
            b'r' => self.u32()?,
            _ => u32::try_from(self.memo.len()).unwrap_or(u32::MAX),
        };
        let top = self.stack.last().cloned().ok_or("there is no value to keep")?;
        self.charge(&top)?;
        self.memo.insert(index, top);
        Ok(())
    }

    /// Counts the copies of a value, and refuses too many of them.
    fn charge(&mut self, value: &Value) -> Result<(), String> {
        self.copies = self.copies.saturating_add(value.count(0)?);
        match self.copies > MOST_COPIES {
            true => Err(format!("it copies more than {MOST_COPIES} values")),
            false => Ok(()),
        }
    }

    fn collect(&mut self, operation: u8) -> Result<(), String> {
        match operation {
            b't' => {
                let group = self.group()?;
                self.stack.push(Value::Tuple(group));
            }
            b'l' => {
                let group = self.group()?;
                self.stack.push(Value::List(group));
            }
            b'd' => {
                let group = self.group()?;
                self.stack.push(Value::Dict(pairs(group)));
            }
            b'\x85'..=b'\x87' => {
                let count = usize::from(operation - b'\x84');
                let mut values = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                values.iter().try_for_each(|value| value.count(1).map(drop))?;
                values.reverse();
                self.stack.push(Value::Tuple(values));
            }
            b'a' => {
                let value = self.pop()?;
                value.count(1)?;
                self.append(vec![value])?;
            }
            b'e' => {
                let group = self.group()?;
                self.append(group)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                value.count(1)?;
                key.count(1)?;
                self.insert(vec![(key, value)])?;
            }
            b'u' => {
                let group = self.group()?;
                self.insert(pairs(group))?;
            }
            _ => return Err("it collects values in an unknown way".into()),
        }
        Ok(())
    }

    fn append(&mut self, values: Vec<Value>) -> Result<(), String> {
        match self.stack.last_mut() {
            Some(Value::List(list)) => list.extend(values),
            _ => return Err("it appends to what is no list".into()),
        }
        Ok(())
    }

    fn insert(&mut self, entries: Vec<(Value, Value)>) -> Result<(), String> {
        match self.stack.last_mut() {
            Some(Value::Dict(dict)) => dict.extend(entries),
            _ => return Err("it stores into what is no dict".into()),
        }
        Ok(())
    }

    fn literal(&mut self, operation: u8) -> Result<Value, String> {
        Ok(match operation {
            b'N' => Value::None,
            b'\x88' => Value::Bool(true),
            b'\x89' => Value::Bool(false),
            b')' => Value::Tuple(Vec::new()),
            b']' => Value::List(Vec::new()),
            b'}' => Value::Dict(Vec::new()),
            b'K' => Value::Int(i64::from(self.byte()?)),
            b'M' => {
                let bytes = self.take(2)?;
                Value::Int(i64::from(u16::from_le_bytes([bytes[0], bytes[1]])))
            }
            b'J' => Value::Int(i64::from(self.u32()?.cast_signed())),
            b'\x8a' => {
                let length = usize::from(self.byte()?);
                let bytes = self.take(length)?;
                if length > 8 {
                    return Err("an integer has more than 64 bits".into());
                }
                let mut whole = match bytes.last() {
                    Some(last) if last & 0x80 != 0 => [0xff; 8],
                    _ => [0; 8],
                };
                whole[..length].copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(whole))
            }
            b'G' => {
                self.take(8)?;
                Value::None
            }
            b'X' => {
                let length = self.u32()? as usize;
                self.text(length)?
            }
            b'\x8c' => {
                let length = usize::from(self.byte()?);
                self.text(length)?
            }
            other => {
                return Err(format!(
                    "it uses operation {other:#04x}, which files of tensors do not need"
                ));
            }
        })
    }
}

fn pairs(values: Vec<Value>) -> Vec<(Value, Value)> {
    let mut values = values.into_iter();
    std::iter::from_fn(|| Some((values.next()?, values.next()?))).collect()
}

fn named(module: &str, name: &str) -> Result<Value, String> {
    let known = KNOWN.iter().find(|(m, n, _)| (*m, *n) == (module, name));
    let (_, _, known) = known.ok_or_else(|| {
        format!("it names `{module}.{name}`, which is no constructor of tensors, so offby does not run it")
    })?;
    Ok(Value::Name(*known))
}

/// The storage that a persistent id names: `("storage", type, key, device, elements)`.
fn storage(id: Value) -> Result<Value, String> {
    let Value::Tuple(parts) = id else { return Err("a storage has no id".into()) };
    match parts.as_slice() {
        [Value::Text(word), Value::Name(Name::Storage(dtype)), Value::Text(key), ..]
            if word == "storage" =>
        {
            Ok(Value::Storage { dtype: *dtype, key: key.clone() })
        }
        _ => Err("the id of a storage has an unknown form".into()),
    }
}

/// The result of a known constructor.
fn called(callee: &Value, arguments: Value) -> Result<Value, String> {
    let (Value::Name(name), Value::Tuple(arguments)) = (callee, arguments) else {
        return Err("it calls what is no constructor".into());
    };
    match name {
        Name::OrderedDict => Ok(Value::Dict(Vec::new())),
        Name::Size => Ok(arguments.into_iter().next().unwrap_or(Value::Tuple(Vec::new()))),
        Name::Parameter => arguments.into_iter().next().ok_or("a parameter has no tensor".into()),
        Name::Tensor => tensor(&arguments),
        Name::Storage(_) => Err("it calls the constructor of a storage".into()),
    }
}

fn tensor(arguments: &[Value]) -> Result<Value, String> {
    let [
        Value::Storage { dtype, key },
        Value::Int(offset),
        Value::Tuple(shape),
        Value::Tuple(strides),
        ..,
    ] = arguments
    else {
        return Err("a tensor has an unknown form".into());
    };
    let extents = |values: &[Value]| -> Result<Vec<usize>, String> {
        let one = |value: &Value| match value {
            Value::Int(number) => {
                usize::try_from(*number).map_err(|_| "an extent is negative".to_owned())
            }
            _ => Err("an extent is no integer".to_owned()),
        };
        values.iter().map(one).collect()
    };
    let (shape, strides) = (extents(shape)?, extents(strides)?);
    if shape.len() != strides.len() {
        return Err("a tensor has another number of strides than of axes".into());
    }
    let offset = usize::try_from(*offset).map_err(|_| "an offset is negative".to_owned())?;
    Ok(Value::Tensor(View { key: key.clone(), dtype: *dtype, offset, shape, strides }))
}
