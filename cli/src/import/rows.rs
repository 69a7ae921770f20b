//! The rows of a CSV file, one after the other, whatever wrote it: a byte order mark, UTF-16, semicolons, tabs, and
//! quotation marks that are never closed.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use shared::encoding;

/// A longer record is one whose quotation mark isn't closed.
const LONGEST: usize = 1 << 20;
const MOST_LINES: usize = 1000;

/// A row, with the number of the line that it begins in.
pub(crate) struct Line {
    pub number: u64,
    /// Its cells, as many as there are columns; or why it can't be read.
    pub cells: Result<Vec<String>, String>,
}

/// A file, of which a few lines are in memory.
pub(crate) struct Rows<R> {
    lines: Lines<R>,
    parser: Reader,
    delimiter: u8,
    pub columns: Vec<String>,
}

impl<R: Read> Rows<R> {
    /// Reads the names of the columns, and what separates them.
    pub fn of(file: R) -> Result<Self, String> {
        let mut lines = Lines::of(file)?;
        let mut header = lines.next()?.ok_or("is empty: its first line must name the columns")?;
        let declared = header.text.trim_ascii_end().strip_prefix(b"sep=").and_then(|it| it.first().copied());
        if declared.is_some() {
            header = lines.next()?.ok_or("has no line that names the columns")?;
        }
        let delimiter = declared.unwrap_or_else(|| delimiter(&header.text));
        lines.pending.push_front(header);
        let parser = ReaderBuilder::new().delimiter(delimiter).build();
        let mut rows = Self { lines, parser, delimiter, columns: Vec::new() };
        let names = rows.read()?.ok_or("has no line that names the columns")?.cells?;
        rows.columns = names.into_iter().map(|name| name.trim().to_owned()).collect();
        while rows.columns.last().is_some_and(String::is_empty) {
            rows.columns.pop();
        }
        Ok(rows)
    }

    /// The next row, empty ones left out. None at the end.
    pub fn next(&mut self) -> Result<Option<Line>, String> {
        loop {
            let Some(line) = self.read()? else { return Ok(None) };
            if !matches!(&line.cells, Ok(cells) if cells.iter().all(String::is_empty)) {
                return Ok(Some(line));
            }
        }
    }

    fn read(&mut self) -> Result<Option<Line>, String> {
        let Some(first) = self.lines.next()? else { return Ok(None) };
        let number = first.number;
        let mut taken = vec![first];
        let mut record = Record::default();
        self.parser.reset();
        let mut is_whole = record.feed(&mut self.parser, &taken[0].text);
        while !is_whole && taken.len() < MOST_LINES && record.length < LONGEST {
            let Some(line) = self.lines.next()? else { break };
            is_whole = record.feed(&mut self.parser, &line.text);
            taken.push(line);
        }
        if !is_whole {
            is_whole = taken.len() == 1 && !has_open_quote(&taken[0].text) && record.feed(&mut self.parser, b"");
        }
        let is_header = self.columns.is_empty();
        let mut cells = record.cells();
        while !is_header && cells.len() > self.columns.len() && cells.last().is_some_and(|it| it.trim().is_empty()) {
            cells.pop();
        }
        let is_whole = is_whole && (taken.len() == 1 || is_closed_at_ends(&taken, self.delimiter));
        let fits = is_header || cells.len() == self.columns.len();
        let cells = match (is_whole, fits) {
            (true, true) => Ok(cells),
            // The quotation mark that ended it began another cell.
            (false, _) | (true, false) if taken.len() > 1 || !is_whole => {
                self.lines.give_back(taken);
                Err("has a quotation mark that isn't closed: double it within a cell, or leave it out".into())
            }
            _ => Err(format!("has {} cells, where the file has {} columns", cells.len(), self.columns.len())),
        };
        Ok(Some(Line { number, cells }))
    }
}

/// Does each quotation mark that closes a cell stand at its end? Else another cell's was taken for it.
fn is_closed_at_ends(taken: &[TextLine], delimiter: u8) -> bool {
    let text: Vec<u8> = taken.iter().flat_map(|line| &line.text).copied().collect();
    let (mut at, mut is_quoted, mut is_start) = (0, false, true);
    while at < text.len() {
        let next = text.get(at + 1).copied();
        match text[at] {
            b'"' if is_quoted && next == Some(b'"') => at += 1,
            b'"' if is_quoted => {
                is_quoted = false;
                if next.is_some_and(|next| next != delimiter && next != b'\r' && next != b'\n') {
                    return false;
                }
            }
            b'"' if is_start => is_quoted = true,
            _ => {}
        }
        is_start = !is_quoted && text[at] == delimiter;
        at += 1;
    }
    true
}

fn has_open_quote(text: &[u8]) -> bool {
    text.iter().fold(false, |is_open, byte| is_open ^ (*byte == b'"'))
}

/// What stands most often between the names of the columns.
fn delimiter(header: &[u8]) -> u8 {
    let mut is_quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    for byte in header {
        is_quoted ^= *byte == b'"';
        for (delimiter, count) in counts.iter_mut().filter(|_| !is_quoted) {
            *count += usize::from(delimiter == byte);
        }
    }
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}

/// A record while it is read.
#[derive(Default)]
struct Record {
    text: Vec<u8>,
    ends: Vec<usize>,
    length: usize,
    cells: usize,
}

impl Record {
    /// Reads on. True when it is whole.
    fn feed(&mut self, parser: &mut Reader, mut input: &[u8]) -> bool {
        let is_end = input.is_empty();
        loop {
            self.text.resize(self.length + input.len() + 16, 0);
            self.ends.resize(self.cells + input.len() + 16, 0);
            let (result, read, written, ended) =
                parser.read_record(input, &mut self.text[self.length..], &mut self.ends[self.cells..]);
            input = &input[read..];
            self.length += written;
            self.cells += ended;
            match result {
                ReadRecordResult::Record => return true,
                ReadRecordResult::End => return self.cells > 0,
                ReadRecordResult::InputEmpty if is_end || input.is_empty() => return false,
                _ => {}
            }
        }
    }

    fn cells(&self) -> Vec<String> {
        let mut start = 0;
        let ends = self.ends[..self.cells].iter();
        ends.map(|end| {
            let cell = encoding::decoded(&self.text[start.min(*end)..*end]).trim().to_owned();
            start = *end;
            cell
        })
        .collect()
    }
}

struct TextLine {
    number: u64,
    text: Vec<u8>,
}

/// How two bytes are a unit of UTF-16.
type Unit = fn([u8; 2]) -> u16;

/// The lines of a file as UTF-8, or in whatever encoding has ASCII in it.
struct Lines<R> {
    file: BufReader<R>,
    utf_16: Option<Unit>,
    number: u64,
    pending: VecDeque<TextLine>,
}

impl<R: Read> Lines<R> {
    fn of(file: R) -> Result<Self, String> {
        let mut file = BufReader::with_capacity(1 << 16, file);
        let start = file.fill_buf().map_err(|error| unreadable(&error))?;
        let (skip, utf_16): (usize, Option<Unit>) = match start {
            [0xef, 0xbb, 0xbf, ..] => (3, None),
            [0xff, 0xfe, ..] => (2, Some(u16::from_le_bytes)),
            [0xfe, 0xff, ..] => (2, Some(u16::from_be_bytes)),
            [first, 0, ..] if *first != 0 => (0, Some(u16::from_le_bytes)),
            [0, first, ..] if *first != 0 => (0, Some(u16::from_be_bytes)),
            _ => (0, None),
        };
        file.consume(skip);
        Ok(Self { file, utf_16, number: 0, pending: VecDeque::new() })
    }

    fn next(&mut self) -> Result<Option<TextLine>, String> {
        if let Some(line) = self.pending.pop_front() {
            return Ok(Some(line));
        }
        let text = match self.utf_16 {
            Some(unit) => self.line_of_utf_16(unit),
            None => self.line(),
        };
        let text = text.map_err(|error| unreadable(&error))?;
        self.number += 1;
        Ok((!text.is_empty()).then_some(TextLine { number: self.number, text }))
    }

    fn line(&mut self) -> std::io::Result<Vec<u8>> {
        let mut text = Vec::new();
        (&mut self.file).take(2 * LONGEST as u64).read_until(b'\n', &mut text)?;
        Ok(text)
    }

    fn line_of_utf_16(&mut self, unit: Unit) -> std::io::Result<Vec<u8>> {
        let mut units = Vec::new();
        let mut bytes = [0; 2];
        while units.len() < LONGEST && units.last() != Some(&u16::from(b'\n')) {
            match self.file.read_exact(&mut bytes) {
                Ok(()) => units.push(unit(bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
        }
        Ok(String::from_utf16_lossy(&units).into_bytes())
    }

    /// All but the first are read again.
    fn give_back(&mut self, taken: Vec<TextLine>) {
        for line in taken.into_iter().skip(1).rev() {
            self.pending.push_front(line);
        }
    }
}

fn unreadable(error: &std::io::Error) -> String {
    format!("can't be read ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &[u8]) -> Vec<(u64, Result<Vec<String>, String>)> {
        let mut rows = Rows::of(file).unwrap();
        let mut read = vec![(1, Ok(rows.columns.clone()))];
        while let Some(line) = rows.next().unwrap() {
            read.push((line.number, line.cells));
        }
        read
    }

    fn good(rows: &[(u64, &[&str])]) -> Vec<(u64, Result<Vec<String>, String>)> {
        rows.iter().map(|(line, cells)| (*line, Ok(cells.iter().map(|it| (*it).to_owned()).collect()))).collect()
    }

    #[test]
    fn a_file_reads_the_same_however_it_is_written() {
        let expected = good(&[(1, &["id", "who"]), (2, &["1", "Zoë"]), (3, &["2", "a, \"b\""])]);
        let text = "id,who\r\n1,Zoë\r\n2,\"a, \"\"b\"\"\"\r\n";
        let other = |delimiter: &str| text.replace("a, ", "a~ ").replace(',', delimiter).replace('~', ",");
        let utf_16: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = utf_16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = utf_16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for file in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            [b"\xff\xfe", little.as_slice()].concat(),
            [b"\xfe\xff", big.as_slice()].concat(),
            little,
            other(";").into_bytes(),
            other("\t").into_bytes(),
            text.replace("\r\n", "\n").trim_end().to_owned().into_bytes(),
            text.chars().map(|c| if c == 'ë' { 0xeb } else { c as u8 }).collect(),
        ] {
            assert_eq!(read(&file), expected, "{}", String::from_utf8_lossy(&file));
        }
        let declared = [(2, Ok(vec!["id".into(), "who".into()]))];
        let with_separator = read(format!("sep=;\n{}", other(";")).as_bytes());
        assert_eq!(with_separator[0].1, declared[0].1);
        assert_eq!(with_separator[1].0, 3);
    }

    #[test]
    fn only_a_broken_row_is_lost() {
        let rows = read(b"id,who\n1,\"never closed\n2,b\n3\n\n4,d,,\n5,\"two\nlines\"\n6,x,y\n7,6\" pipe\n8,\"again\n");
        let bad: Vec<_> = rows.iter().filter(|(_, cells)| cells.is_err()).map(|(line, _)| *line).collect();
        let kept: Vec<_> = rows.iter().filter_map(|(_, cells)| Some(cells.as_ref().ok()?[0].as_str())).collect();
        assert_eq!(bad, [2, 4, 9, 11]);
        assert_eq!(kept, ["id", "2", "4", "5", "7"]);
    }
}
