//! The rows of a request body: chunks, decompression, parsing on several threads, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use cairn_http::{LoadBody, LoadFormat, StreamLoadRequest};
use cairn_ingest::text::ColumnText;
use cairn_ingest::{BatchOptions, CsvCutter, CsvParser, Decompressor, JsonReader, Pull, Tally};
use cairn_types::{Error, Result};
use tokio::task::JoinHandle;

use super::expressions::Shape;
use crate::node::Node;

/// Bytes of text that one thread parses at a time.
const PIECE_BYTES: usize = 4 << 20;
/// Rows of a batch.
const BATCH_ROWS: usize = 32_768;
/// Plain bytes taken from the decompressor at a time.
const PLAIN_BYTES: usize = 1 << 20;

type Parsed = Result<(Vec<RecordBatch>, Tally)>;

/// The rows of a load, batch by batch.
pub(super) struct Rows {
    node: Arc<Node>,
    body: LoadBody,
    decompressor: Option<Decompressor>,
    format: Format,
    ready: VecDeque<RecordBatch>,
    tally: Tally,
    ended: bool,
    read_micros: u128,
}

enum Format {
    Csv {
        cutter: Box<CsvCutter>,
        parser: Arc<CsvParser>,
        parsing: VecDeque<JoinHandle<Parsed>>,
        at_once: usize,
    },
    Json(Box<JsonReader>),
}

impl Rows {
    pub(super) fn new(
        node: &Arc<Node>,
        request: &StreamLoadRequest,
        shape: &Shape,
        body: LoadBody,
    ) -> Result<Self> {
        let options = BatchOptions { batch_rows: BATCH_ROWS, ..BatchOptions::default() };
        let targets = shape.targets.clone();
        let (format, tally) = match &request.format {
            LoadFormat::Csv(csv) => {
                let parser = Arc::new(CsvParser::new(csv.clone(), targets, options)?);
                let cutter = Box::new(CsvCutter::new(csv.clone(), options, PIECE_BYTES)?);
                let tally = parser.tally();
                let at_once = node.limits.parallelism.max(1);
                (Format::Csv { cutter, parser, parsing: VecDeque::new(), at_once }, tally)
            }
            LoadFormat::Json(json) => {
                let reader = Box::new(JsonReader::new(json, targets, options)?);
                let tally = Tally::new(options.rejected_kept);
                (Format::Json(reader), tally)
            }
        };
        let decompressor = request.compression.map(Decompressor::new).transpose()?;
        Ok(Self {
            node: Arc::clone(node),
            body,
            decompressor,
            format,
            ready: VecDeque::new(),
            tally,
            ended: false,
            read_micros: 0,
        })
    }

    /// The next batch; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if self.take_parsed().await? {
                continue;
            }
            if self.ended {
                return Ok(None);
            }
            self.read().await?;
        }
    }

    /// What was counted so far; whole after [`Rows::next`] gave `None`.
    pub(super) fn tally(&self) -> &Tally {
        match &self.format {
            Format::Csv { .. } => &self.tally,
            Format::Json(reader) => reader.tally(),
        }
    }

    pub(super) fn received_bytes(&self) -> u64 {
        self.body.received_bytes()
    }

    pub(super) fn read_ms(&self) -> u64 {
        u64::try_from(self.read_micros / 1_000).unwrap_or(u64::MAX)
    }

    /// Waits for the oldest piece, when enough are being parsed or nothing more will come.
    async fn take_parsed(&mut self) -> Result<bool> {
        let Format::Csv { parsing, at_once, .. } = &mut self.format else { return Ok(false) };
        if parsing.len() < *at_once && !self.ended {
            return Ok(false);
        }
        let Some(oldest) = parsing.pop_front() else { return Ok(false) };
        let (batches, tally) =
            oldest.await.map_err(|e| Error::internal(format!("a parser stopped: {e}")))??;
        self.tally.absorb(tally);
        self.ready.extend(batches);
        Ok(true)
    }

    async fn read(&mut self) -> Result<()> {
        let timer = self.node.env.stopwatch();
        let chunk = self.body.chunk().await;
        self.read_micros += timer.elapsed().as_micros();
        match chunk? {
            Some(chunk) => self.take(chunk),
            None => self.end(),
        }
    }

    fn take(&mut self, chunk: Bytes) -> Result<()> {
        let Some(decompressor) = &mut self.decompressor else { return self.parse(&chunk) };
        decompressor.push(chunk);
        self.drain()
    }

    /// Parses what the decompressor has.
    fn drain(&mut self) -> Result<()> {
        loop {
            let Some(decompressor) = &mut self.decompressor else { return Ok(()) };
            let mut plain = Vec::new();
            let more = decompressor.pull(&mut plain, PLAIN_BYTES)?;
            self.parse(&plain)?;
            if !matches!(more, Pull::More) {
                return Ok(());
            }
        }
    }

    fn parse(&mut self, text: &[u8]) -> Result<()> {
        match &mut self.format {
            Format::Csv { cutter, parser, parsing, .. } => {
                if let Some(piece) = cutter.push(text)? {
                    parsing.push_back(parse_piece(&self.node, parser, piece));
                }
            }
            Format::Json(reader) => self.ready.extend(reader.push(text)?),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if let Some(decompressor) = &mut self.decompressor {
            decompressor.end_input();
            self.drain()?;
        }
        self.ended = true;
        match &mut self.format {
            Format::Csv { cutter, parser, parsing, .. } => {
                if let Some(piece) = cutter.finish() {
                    parsing.push_back(parse_piece(&self.node, parser, piece));
                }
            }
            Format::Json(reader) => self.ready.extend(reader.finish()?),
        }
        Ok(())
    }
}

fn parse_piece(node: &Node, parser: &Arc<CsvParser>, piece: Bytes) -> JoinHandle<Parsed> {
    let parser = Arc::clone(parser);
    node.env.spawn_blocking(move || parser.parse(&piece))
}

/// A row for people, when its text is gone already.
pub(super) fn row_text(batch: &RecordBatch, row: usize, columns: &[String]) -> String {
    let cell = |(array, name): (&arrow::array::ArrayRef, &String)| {
        let mut out = Vec::new();
        let shown = ColumnText::new(array).is_ok_and(|column| column.append(row, &mut out));
        let value = if shown { String::from_utf8_lossy(&out).into_owned() } else { "NULL".to_owned() };
        format!("{name}={value}")
    };
    batch.columns().iter().zip(columns).map(cell).collect::<Vec<_>>().join(", ")
}
