//! Parameters of prepared statements, as the binary protocol sends them. Pure.

use crate::primitive::{Malformed, Reader, utf8};
use mysql_common::constants::ColumnType;
use std::collections::HashMap;

/// A parameter's value.
#[derive(Clone, PartialEq, Debug)]
pub enum ParamValue {
    Null,
    Int(i64),
    UInt(u64),
    Float(f32),
    Double(f64),
    /// Digits, sign and point as the client wrote them.
    Decimal(String),
    /// Text (in UTF-8 if the client keeps its word) or bytes; the protocol does not say which.
    Bytes(Vec<u8>),
    Date {
        year: u16,
        month: u8,
        day: u8,
    },
    DateTime {
        year: u16,
        month: u8,
        day: u8,
        hour: u8,
        minute: u8,
        second: u8,
        micros: u32,
    },
    /// A span of time.
    Time {
        negative: bool,
        hours: u64,
        minutes: u8,
        seconds: u8,
        micros: u32,
    },
}

/// What a connection remembers of a prepared statement between its executions.
#[derive(Debug)]
pub(crate) struct Statement {
    parameters: u16,
    /// Of the last execution that sent any: clients send them only once.
    types: Vec<ParamType>,
    /// Values that came in pieces ahead of an execution.
    long_data: HashMap<u16, Vec<u8>>,
    /// Pieces have no answer, so what is wrong with one is told at the next execution.
    long_data_fault: Option<Malformed>,
}

#[derive(Clone, Copy, Debug)]
struct ParamType {
    column_type: ColumnType,
    unsigned: bool,
}

impl Statement {
    pub(crate) fn new(parameters: u16) -> Self {
        Self { parameters, types: Vec::new(), long_data: HashMap::new(), long_data_fault: None }
    }

    /// Keeps a piece of a value; all values together may have `bytes_max` bytes.
    pub(crate) fn add_long_data(&mut self, parameter: u16, data: &[u8], bytes_max: usize) {
        let kept: usize = self.long_data.values().map(Vec::len).sum();
        if parameter >= self.parameters {
            let count = self.parameters;
            self.fault(format!("long data for parameter {parameter} of a statement which has {count}"));
        } else if kept + data.len() > bytes_max {
            self.fault(format!("long data of more than max_allowed_packet = {bytes_max} bytes"));
        } else {
            self.long_data.entry(parameter).or_default().extend_from_slice(data);
        }
    }

    fn fault(&mut self, why: String) {
        self.long_data_fault.get_or_insert(Malformed(why));
    }

    /// Forgets the pieces.
    pub(crate) fn reset(&mut self) {
        self.long_data.clear();
        self.long_data_fault = None;
    }

    /// Reads an execute packet behind the statement's number. The pieces kept are used up, also by an error.
    pub(crate) fn decode(&mut self, body: &[u8]) -> Result<Vec<ParamValue>, Malformed> {
        let long_data = std::mem::take(&mut self.long_data);
        if let Some(fault) = self.long_data_fault.take() {
            return Err(fault);
        }
        let mut reader = Reader::new(body);
        // A cursor may be asked for here; servers may answer with the whole result instead, and this one does.
        reader.u8("cursor type")?;
        match reader.u32("iteration count")? {
            1 => {}
            count => {
                return Err(Malformed(format!("iteration count {count}, where the protocol has only 1")));
            }
        }
        if self.parameters == 0 {
            return Ok(Vec::new());
        }
        let nulls = reader.bytes(usize::from(self.parameters).div_ceil(8), "NULL bitmap")?;
        if reader.u8("types flag")? == 1 {
            self.types = (0..self.parameters).map(|_| read_type(&mut reader)).collect::<Result<_, _>>()?;
        } else if self.types.is_empty() {
            return Err(Malformed("the types of the parameters were never sent".into()));
        }
        self.read_values(reader, nulls, long_data)
    }

    fn read_values(
        &self,
        mut reader: Reader<'_>,
        nulls: &[u8],
        mut long_data: HashMap<u16, Vec<u8>>,
    ) -> Result<Vec<ParamValue>, Malformed> {
        let mut values = Vec::with_capacity(self.types.len());
        for (number, param_type) in (0_u16..).zip(&self.types) {
            let byte = nulls.get(usize::from(number / 8)).copied().unwrap_or_default();
            values.push(match long_data.remove(&number) {
                Some(data) => ParamValue::Bytes(data),
                None if byte & (1 << (number % 8)) != 0 => ParamValue::Null,
                None => read_value(&mut reader, *param_type)
                    .map_err(|error| Malformed(format!("parameter {}: {error}", number + 1)))?,
            });
        }
        Ok(values)
    }
}

fn read_type(reader: &mut Reader<'_>) -> Result<ParamType, Malformed> {
    let [code, flags] = reader.array("parameter type")?;
    let column_type =
        ColumnType::try_from(code).map_err(|_| Malformed(format!("there is no parameter type {code}")))?;
    Ok(ParamType { column_type, unsigned: flags & 0x80 != 0 })
}

fn read_value(reader: &mut Reader<'_>, param_type: ParamType) -> Result<ParamValue, Malformed> {
    use ColumnType::*;
    let unsigned = param_type.unsigned;
    Ok(match param_type.column_type {
        MYSQL_TYPE_NULL => ParamValue::Null,
        MYSQL_TYPE_TINY => {
            let [byte] = reader.array("value")?;
            int(unsigned, byte.into(), i8::from_le_bytes([byte]).into())
        }
        MYSQL_TYPE_SHORT | MYSQL_TYPE_YEAR => {
            let bytes = reader.array("value")?;
            int(unsigned, u16::from_le_bytes(bytes).into(), i16::from_le_bytes(bytes).into())
        }
        MYSQL_TYPE_LONG | MYSQL_TYPE_INT24 => {
            let bytes = reader.array("value")?;
            int(unsigned, u32::from_le_bytes(bytes).into(), i32::from_le_bytes(bytes).into())
        }
        MYSQL_TYPE_LONGLONG => {
            let bytes = reader.array("value")?;
            int(unsigned, u64::from_le_bytes(bytes), i64::from_le_bytes(bytes))
        }
        MYSQL_TYPE_FLOAT => ParamValue::Float(f32::from_le_bytes(reader.array("value")?)),
        MYSQL_TYPE_DOUBLE => ParamValue::Double(f64::from_le_bytes(reader.array("value")?)),
        MYSQL_TYPE_DATE | MYSQL_TYPE_DATETIME | MYSQL_TYPE_TIMESTAMP => read_date(reader, param_type)?,
        MYSQL_TYPE_TIME => read_time(reader)?,
        MYSQL_TYPE_DECIMAL | MYSQL_TYPE_NEWDECIMAL => {
            ParamValue::Decimal(utf8(reader.lenenc_bytes("value")?, "decimal number")?.to_owned())
        }
        MYSQL_TYPE_VARCHAR
        | MYSQL_TYPE_VAR_STRING
        | MYSQL_TYPE_STRING
        | MYSQL_TYPE_ENUM
        | MYSQL_TYPE_SET
        | MYSQL_TYPE_BIT
        | MYSQL_TYPE_JSON
        | MYSQL_TYPE_GEOMETRY
        | MYSQL_TYPE_TINY_BLOB
        | MYSQL_TYPE_MEDIUM_BLOB
        | MYSQL_TYPE_LONG_BLOB
        | MYSQL_TYPE_BLOB => ParamValue::Bytes(reader.lenenc_bytes("value")?.to_vec()),
        other => return Err(Malformed(format!("the type {other:?} is not one of parameters"))),
    })
}

fn int(is_unsigned: bool, unsigned: u64, signed: i64) -> ParamValue {
    if is_unsigned { ParamValue::UInt(unsigned) } else { ParamValue::Int(signed) }
}

fn read_date(reader: &mut Reader<'_>, param_type: ParamType) -> Result<ParamValue, Malformed> {
    let length = reader.u8("length of a date")?;
    if ![0, 4, 7, 11].contains(&length) {
        return Err(Malformed(format!("a date of {length} bytes, where there may be 0, 4, 7 or 11")));
    }
    let (mut year, mut month, mut day) = (0, 0, 0);
    let (mut hour, mut minute, mut second, mut micros) = (0, 0, 0, 0);
    if length >= 4 {
        year = reader.u16("year")?;
        [month, day] = reader.array("month and day")?;
    }
    if length >= 7 {
        [hour, minute, second] = reader.array("time of day")?;
    }
    if length >= 11 {
        micros = reader.u32("microseconds")?;
    }
    Ok(match param_type.column_type {
        ColumnType::MYSQL_TYPE_DATE => ParamValue::Date { year, month, day },
        _ => ParamValue::DateTime { year, month, day, hour, minute, second, micros },
    })
}

fn read_time(reader: &mut Reader<'_>) -> Result<ParamValue, Malformed> {
    let length = reader.u8("length of a time")?;
    if ![0, 8, 12].contains(&length) {
        return Err(Malformed(format!("a time of {length} bytes, where there may be 0, 8 or 12")));
    }
    let (mut negative, mut hours, mut minutes, mut seconds, mut micros) = (false, 0, 0, 0, 0);
    if length >= 8 {
        negative = reader.u8("sign")? != 0;
        let days = u64::from(reader.u32("days")?);
        let [hour, minute, second] = reader.array("time of day")?;
        (hours, minutes, seconds) = (days * 24 + u64::from(hour), minute, second);
    }
    if length >= 12 {
        micros = reader.u32("microseconds")?;
    }
    Ok(ParamValue::Time { negative, hours, minutes, seconds, micros })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use mysql_common::packets::ComStmtExecuteRequestBuilder;
    use mysql_common::value::Value;
    use proptest::prelude::*;

    /// What a client library sends to execute a statement with `values`, behind the statement's number.
    fn execute(values: &[Value]) -> Vec<u8> {
        let (request, _) = ComStmtExecuteRequestBuilder::new(1).build(values);
        let mut out = Vec::new();
        mysql_common::proto::MySerialize::serialize(&request, &mut out);
        out.split_off(5)
    }

    fn decoded(values: &[Value]) -> Vec<ParamValue> {
        Statement::new(values.len() as u16).decode(&execute(values)).unwrap()
    }

    #[test]
    fn a_client_librarys_values_are_read() {
        let check = |value: Value, expected: ParamValue| assert_eq!(decoded(&[value]), [expected]);
        check(Value::NULL, ParamValue::Null);
        check(Value::Int(-5), ParamValue::Int(-5));
        check(Value::Int(i64::MIN), ParamValue::Int(i64::MIN));
        check(Value::UInt(u64::MAX), ParamValue::UInt(u64::MAX));
        check(Value::Float(1.5), ParamValue::Float(1.5));
        check(Value::Double(-0.1), ParamValue::Double(-0.1));
        check(Value::Bytes(b"x".to_vec()), ParamValue::Bytes(b"x".to_vec()));
        check(
            Value::Date(2024, 2, 29, 1, 2, 3, 4),
            ParamValue::DateTime { year: 2024, month: 2, day: 29, hour: 1, minute: 2, second: 3, micros: 4 },
        );
        check(
            Value::Time(true, 2, 1, 4, 5, 6),
            ParamValue::Time { negative: true, hours: 49, minutes: 4, seconds: 5, micros: 6 },
        );
    }

    #[test]
    fn nulls_among_many() {
        let values: Vec<_> = (0..20).map(|n| if n % 3 == 0 { Value::NULL } else { Value::Int(n) }).collect();
        for (n, value) in (0..).zip(decoded(&values)) {
            assert_eq!(value, if n % 3 == 0 { ParamValue::Null } else { ParamValue::Int(n) });
        }
    }

    #[test]
    fn types_are_sent_once_and_remembered() {
        let mut statement = Statement::new(1);
        assert!(statement.decode(&[0, 1, 0, 0, 0, 0, 0, 9]).unwrap_err().to_string().contains("never sent"));
        let with_type = [0, 1, 0, 0, 0, 0, 1, ColumnType::MYSQL_TYPE_TINY as u8, 0x80, 200];
        assert_eq!(statement.decode(&with_type), Ok(vec![ParamValue::UInt(200)]));
        assert_eq!(statement.decode(&[0, 1, 0, 0, 0, 0, 0, 9]), Ok(vec![ParamValue::UInt(9)]));
        assert_eq!(statement.decode(&[0, 1, 0, 0, 0, 1, 0]), Ok(vec![ParamValue::Null]));
    }

    #[test]
    fn long_data_comes_in_pieces_and_lasts_for_one_execution() {
        let mut statement = Statement::new(2);
        let text = ColumnType::MYSQL_TYPE_BLOB as u8;
        let body = [0, 1, 0, 0, 0, 0, 1, text, 0, text, 0, 1, b'z'];
        statement.add_long_data(0, b"ab", 4);
        statement.add_long_data(0, b"cd", 4);
        let value = |bytes: &[u8]| ParamValue::Bytes(bytes.to_vec());
        assert_eq!(statement.decode(&body), Ok(vec![value(b"abcd"), value(b"z")]));
        assert!(statement.decode(&body).is_err(), "now the first value is missing");

        statement.add_long_data(0, b"abcde", 4);
        assert!(statement.decode(&body).unwrap_err().to_string().contains("max_allowed_packet"));
        statement.add_long_data(2, b"a", 4);
        assert!(statement.decode(&body).unwrap_err().to_string().contains("parameter 2 of a statement"));
        statement.add_long_data(2, b"a", 4);
        statement.reset();
        statement.add_long_data(0, b"a", 4);
        assert!(statement.decode(&body).is_ok(), "a reset forgets the fault");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |tail: &[u8], expected: &str| {
            let body = [&[0, 1, 0, 0, 0][..], tail].concat();
            let error = Statement::new(1).decode(&body).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&[], "NULL bitmap needs 1 bytes");
        check(&[0, 1, 21, 0], "there is no parameter type 21");
        check(&[0, 1, 14, 0], "MYSQL_TYPE_NEWDATE is not one of parameters");
        check(&[0, 1, 8, 0, 1, 2], "parameter 1: value needs 8 bytes");
        check(&[0, 1, 12, 0, 5], "a date of 5 bytes");
        check(&[0, 1, 11, 0, 9], "a time of 9 bytes");
        check(&[0, 1, 253, 0, 0xFD, 255, 255, 255], "value needs 16777215 bytes");
        let error = Statement::new(0).decode(&[0, 2, 0, 0, 0]).unwrap_err().to_string();
        assert!(error.contains("iteration count 2"), "{error}");
    }

    proptest! {
        #[test]
        fn any_mix_of_values_survives(numbers in proptest::collection::vec(any::<Option<i64>>(), 1..40),
                                      texts in proptest::collection::vec(any::<Vec<u8>>(), 1..5)) {
            let values: Vec<_> = numbers.iter().map(|n| n.map_or(Value::NULL, Value::Int))
                .chain(texts.iter().cloned().map(Value::Bytes)).collect();
            let expected: Vec<_> = numbers.iter().map(|n| n.map_or(ParamValue::Null, ParamValue::Int))
                .chain(texts.into_iter().map(ParamValue::Bytes)).collect();
            prop_assert_eq!(decoded(&values), expected);
        }
    }
}
