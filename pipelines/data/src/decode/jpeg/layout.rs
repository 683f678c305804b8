//! What the segments of a JPEG say (ITU T.81, annex B), without decoding a pixel.
//!
//! Searching the bytes for an end marker is fooled by the one of an EXIF thumbnail: so the segments are walked. Bytes that
//! belong to no segment are passed over, as libjpeg does.

use std::borrow::Cow;

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;
const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// The frame header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its marker, which tells the process.
    pub code: u8,
    /// Bits of a sample.
    pub precision: u8,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Id, horizontal and vertical sampling of each component.
    pub components: Vec<(u8, u8, u8)>,
}

/// What stands where in a JPEG.
#[derive(Debug, Default)]
pub struct Layout<'a> {
    pub frame: Option<Frame>,
    /// The ids of the components of each scan.
    pub scans: Vec<&'a [u8]>,
    /// The colour transform that Adobe's segment names.
    pub adobe: Option<u8>,
    pub is_jfif: bool,
    pub exif: Option<&'a [u8]>,
    pub xmp: Option<&'a [u8]>,
    /// Where each segment begins and ends, bytes between them left out.
    spans: Vec<(usize, usize)>,
    /// Whether the end marker of the image itself is reached.
    pub is_whole: bool,
}

impl<'a> Layout<'a> {
    /// Walks the segments up to the end marker.
    pub fn read(bytes: &'a [u8]) -> Self {
        let mut layout = Self { spans: vec![(0, bytes.len().min(2))], ..Self::default() };
        let mut at = 2; // after the start marker
        while let Some((code, begin)) = next_marker(bytes, at) {
            let after = begin + 2;
            let length = match (code, bytes.get(after..after + 2)) {
                (0x01 | 0xD0..=END_OF_IMAGE, _) => 0, // TEM, restarts, start and end of image stand alone
                (_, Some(length)) => usize::from(u16::from_be_bytes([length[0], length[1]])).max(2),
                (_, None) => bytes.len(),
            };
            let end = after.saturating_add(length).min(bytes.len());
            layout.take(code, bytes.get(after + 2..end).unwrap_or_default());
            at = if code == START_OF_SCAN { end_of_scan(bytes, end) } else { end };
            layout.spans.push((begin, at));
            if code == END_OF_IMAGE {
                layout.is_whole = true;
                break;
            }
        }
        layout
    }

    fn take(&mut self, code: u8, body: &'a [u8]) {
        match code {
            0xE0 if body.starts_with(b"JFIF\0") => self.is_jfif = true,
            0xE1 if body.starts_with(EXIF) => self.exif = self.exif.or(Some(body)),
            0xE1 if body.starts_with(XMP) => self.xmp = self.xmp.or(Some(body)),
            0xEE if body.starts_with(b"Adobe") && body.len() >= 12 => self.adobe = Some(body[11]),
            0xC0..=0xCF if !matches!(code, 0xC4 | 0xC8 | 0xCC) && self.frame.is_none() => {
                self.frame = frame(code, body)
            }
            START_OF_SCAN => {
                let count = usize::from(body.first().copied().unwrap_or(0));
                self.scans.push(body.get(1..1 + 2 * count).unwrap_or_default());
            }
            _ => {}
        }
    }

    /// Tells whether every component of the frame is in some scan.
    pub fn has_every_component(&self) -> bool {
        let scanned = |id: u8| self.scans.iter().any(|scan| scan.iter().step_by(2).any(|found| *found == id));
        self.frame.iter().flat_map(|frame| &frame.components).all(|(id, ..)| scanned(*id))
    }

    /// Returns the segments without what stands between and behind them.
    pub fn cleaned(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let end = self.spans.last().map_or(0, |span| span.1);
        if self.spans.windows(2).all(|pair| pair[0].1 == pair[1].0) {
            return Cow::Borrowed(&bytes[..end]);
        }
        Cow::Owned(self.spans.iter().flat_map(|(begin, end)| &bytes[*begin..*end]).copied().collect())
    }
}

fn frame(code: u8, body: &[u8]) -> Option<Frame> {
    let number = |at: usize| Some(u32::from(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?])));
    let count = usize::from(*body.get(5)?);
    let of_three = body.get(6..)?.as_chunks::<3>().0.iter().take(count);
    let components: Vec<_> = of_three.map(|[id, sampling, _]| (*id, sampling >> 4, sampling & 15)).collect();
    (components.len() == count).then_some(())?;
    Some(Frame { code, precision: body[0], width: number(3)?, height: number(1)?, components })
}

/// The next marker's code at or after `at`, and where it begins. Stray and fill bytes are passed over.
fn next_marker(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let is_marker = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF);
    let found = at + bytes.get(at..)?.windows(2).position(is_marker)?;
    Some((bytes[found + 1], found))
}

/// Where the entropy-coded data that begins at `at` stops: at a marker that is neither a stuffed zero nor a restart.
fn end_of_scan(bytes: &[u8], at: usize) -> usize {
    let data = bytes.get(at..).unwrap_or_default();
    let marker = data.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD0..=0xD7 | 0xFF));
    at + marker.unwrap_or(data.len())
}
