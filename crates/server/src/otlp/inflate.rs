//! Decompression that stops at its limit: what a small request unfolds to costs no more than the largest request.

use std::io::{Cursor, ErrorKind, Read};

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};

use super::buffer::Buffer;
use super::failure::{Failure, FailureKind};

/// Decompressed on the spot up to this many bytes, about a millisecond; what is longer moves to a thread that may block.
const INLINE_MAX_BYTES: usize = 512 << 10;
/// Room for output is made in steps of at least this.
const MIN_STEP_BYTES: usize = 16 << 10;
/// Telemetry shrinks to about a fifth.
const EXPECTED_RATIO: usize = 5;

/// The window a frame may ask for before it shows a byte: 64 MiB, what compression levels up to 21 use.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

/// The names of what can be decompressed, as headers list them.
pub(crate) const ENCODINGS: &str = "identity,gzip,deflate,zstd";

impl Encoding {
    /// Reads a `content-encoding` or `grpc-encoding`.
    ///
    /// # Errors
    /// When it is unknown, or more than one.
    pub(crate) fn parse(header: Option<&::http::HeaderValue>) -> Result<Self, Failure> {
        let Some(header) = header else {
            return Ok(Self::Identity);
        };
        match header.as_bytes().trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Ok(Self::Identity),
            b"gzip" | b"x-gzip" => Ok(Self::Gzip),
            b"deflate" => Ok(Self::Deflate),
            b"zstd" => Ok(Self::Zstd),
            other => Err(Failure::new(
                FailureKind::UnsupportedEncoding,
                format!("the encoding `{}` is not known; there are {ENCODINGS}", other.escape_ascii()),
            )),
        }
    }
}

/// Decompresses `compressed`, which stops with an error where it comes to more than `max_bytes`.
///
/// # Errors
/// When it is damaged, cut short or too large.
pub(crate) async fn inflate(encoding: Encoding, compressed: Buffer, max_bytes: usize) -> Result<Buffer, Failure> {
    if encoding == Encoding::Identity {
        return if compressed.len() > max_bytes { Err(too_large(max_bytes)) } else { Ok(compressed) };
    }
    if compressed.len() == 0 {
        return Ok(compressed);
    }
    let mut inflating = Inflating::new(encoding, compressed, max_bytes)?;
    if inflating.run(INLINE_MAX_BYTES)? {
        return Ok(inflating.output);
    }
    let rest = move || inflating.run(usize::MAX).map(|_| inflating.output);
    tokio::task::spawn_blocking(rest).await.map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?
}

struct Inflating {
    reader: Box<dyn Read + Send>,
    output: Buffer,
    max_bytes: usize,
    step_bytes: usize,
}

impl Inflating {
    fn new(encoding: Encoding, compressed: Buffer, max_bytes: usize) -> Result<Self, Failure> {
        let output = Buffer::new(compressed.budget());
        let step_bytes = (compressed.len() * EXPECTED_RATIO).clamp(MIN_STEP_BYTES, INLINE_MAX_BYTES);
        let input = Cursor::new(compressed);
        let reader: Box<dyn Read + Send> = match encoding {
            Encoding::Identity => Box::new(input),
            Encoding::Gzip => Box::new(MultiGzDecoder::new(input)),
            Encoding::Deflate => Box::new(ZlibDecoder::new(input)),
            Encoding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(|error| damaged(&error))?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|error| damaged(&error))?;
                Box::new(decoder)
            }
        };
        Ok(Self { reader, output, max_bytes, step_bytes })
    }

    /// Goes on until `pause_at` bytes are there or nothing is left; says whether it has come to the end.
    fn run(&mut self, pause_at: usize) -> Result<bool, Failure> {
        while self.output.len() < pause_at {
            // One more than allowed, so that reaching the limit and passing it can be told apart.
            let step = self.step_bytes.min(self.max_bytes + 1 - self.output.len());
            self.output.reserve(step)?;
            let mut part = self.reader.by_ref().take(step as u64);
            let read = part.read_to_end(self.output.bytes()).map_err(|error| damaged(&error))?;
            if self.output.len() > self.max_bytes {
                return Err(too_large(self.max_bytes));
            }
            if read < step {
                return Ok(true);
            }
            self.step_bytes = self.output.len();
        }
        Ok(false)
    }
}

fn too_large(max_bytes: usize) -> Failure {
    let message = format!("the request is larger than {max_bytes} bytes when decompressed; send smaller batches");
    Failure::new(FailureKind::TooLarge, message)
}

fn damaged(error: &std::io::Error) -> Failure {
    let message = match error.kind() {
        ErrorKind::UnexpectedEof => "the compressed request is cut short".to_owned(),
        _ => format!("the request cannot be decompressed: {error}"),
    };
    Failure::new(FailureKind::Undecodable, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::buffer::Budget;
    use super::*;

    const MAX: usize = 4 << 20;

    fn compress(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::default();
        match encoding {
            Encoding::Identity => bytes.to_vec(),
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Deflate => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Zstd => zstd::encode_all(bytes, 3).unwrap(),
        }
    }

    async fn decompress(encoding: Encoding, bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, FailureKind> {
        let mut buffer = Buffer::new(&Budget::new(4 * MAX));
        buffer.extend(bytes).unwrap();
        match inflate(encoding, buffer, max_bytes).await {
            Ok(output) => Ok(output.as_ref().to_vec()),
            Err(failure) => Err(failure.kind()),
        }
    }

    const ALL: [Encoding; 4] = [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd];

    #[tokio::test]
    async fn what_was_compressed_comes_back_up_to_the_limit_and_not_past_it() {
        for encoding in ALL {
            for len in [1, MIN_STEP_BYTES, INLINE_MAX_BYTES, INLINE_MAX_BYTES + 1, 3 * INLINE_MAX_BYTES] {
                let bytes: Vec<u8> = (0..len).map(|at| (at * at / 7) as u8).collect();
                let compressed = compress(encoding, &bytes);
                assert!(decompress(encoding, &compressed, len).await.as_ref() == Ok(&bytes), "{encoding:?} {len}");
                assert_eq!(decompress(encoding, &compressed, len - 1).await, Err(FailureKind::TooLarge));
            }
        }
    }

    #[tokio::test]
    async fn members_that_follow_each_other_are_one_text() {
        let twice = [compress(Encoding::Gzip, b"one "), compress(Encoding::Gzip, b"two")].concat();
        assert_eq!(decompress(Encoding::Gzip, &twice, MAX).await.unwrap(), b"one two");
    }

    #[tokio::test]
    async fn damaged_and_cut_off_bytes_are_refused() {
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            let compressed = compress(encoding, &[b'x'; 5000]);
            let cut = &compressed[..compressed.len() - 3];
            assert_eq!(decompress(encoding, cut, MAX).await, Err(FailureKind::Undecodable), "{encoding:?}");
            assert_eq!(decompress(encoding, b"not compressed", MAX).await, Err(FailureKind::Undecodable));
            assert_eq!(decompress(encoding, b"", MAX).await.unwrap(), b"");
        }
    }

    #[tokio::test]
    async fn all_requests_together_are_bounded_while_they_unfold() {
        let bomb = compress(Encoding::Gzip, &vec![0; MAX]);
        let budget = Budget::new(MAX / 2);
        let mut buffer = Buffer::new(&budget);
        buffer.extend(&bomb).unwrap();
        assert_eq!(inflate(Encoding::Gzip, buffer, MAX).await.unwrap_err().kind(), FailureKind::Full);
        Buffer::new(&budget).reserve(MAX / 2).expect("everything was given back");
    }

    #[test]
    fn an_encoding_is_known_by_its_name_in_any_case() {
        let parse = |name: &'static str| Encoding::parse(Some(&::http::HeaderValue::from_static(name)));
        assert_eq!(parse("GZIP").unwrap(), Encoding::Gzip);
        assert_eq!(parse(" zstd ").unwrap(), Encoding::Zstd);
        assert_eq!(parse("br").unwrap_err().kind(), FailureKind::UnsupportedEncoding);
        assert_eq!(parse("gzip, gzip").unwrap_err().kind(), FailureKind::UnsupportedEncoding);
        assert_eq!(Encoding::parse(None).unwrap(), Encoding::Identity);
    }
}
