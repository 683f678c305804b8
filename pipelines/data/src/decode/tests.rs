//! Good photos come out right and upright; broken ones are refused by name.

use super::fixtures::{bmp_header, cmyk_jpeg, coded, exif, jpeg, photo, with_claimed_size, with_segment};
use super::*;
use image::{GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, Rgba, RgbaImage};
use proptest::prelude::*;

const LOSSLESS: [ImageFormat; 3] = [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP];

fn largest_difference(left: &RgbImage, right: &RgbImage) -> u8 {
    assert_eq!(left.dimensions(), right.dimensions());
    left.as_raw().iter().zip(right.as_raw()).map(|(left, right)| left.abs_diff(*right)).max().unwrap()
}

fn flat(width: u32, height: u32, colour: [u8; 3]) -> RgbImage {
    RgbImage::from_pixel(width, height, Rgb(colour))
}

#[test]
fn lossless_formats_give_back_their_pixels() {
    for format in LOSSLESS {
        let bytes = coded(&photo(33, 17).into(), format);
        assert_eq!(open_rgb(&bytes).unwrap(), photo(33, 17), "{format:?}");
        assert_eq!(dimensions(&bytes).unwrap(), (33, 17), "{format:?}");
    }
}

#[test]
fn a_jpeg_gives_back_nearly_its_pixels() {
    let smooth = RgbImage::from_fn(40, 24, |x, y| Rgb([(x * 6) as u8, (y * 10) as u8, 90]));
    let bytes = jpeg(&smooth);
    // Quality 95 of a smooth photo, chroma at half size.
    assert!(largest_difference(&open_rgb(&bytes).unwrap(), &smooth) <= 12);
    assert_eq!(dimensions(&bytes).unwrap(), (40, 24));
}

#[test]
fn the_format_is_known_by_content_even_for_a_gif() {
    let bytes = coded(&flat(9, 5, [200, 10, 30]).into(), ImageFormat::Gif);
    assert_eq!(open_rgb(&bytes).unwrap(), flat(9, 5, [200, 10, 30]));
}

#[test]
fn a_grey_photo_becomes_rgb() {
    let grey = GrayImage::from_pixel(16, 8, Luma([77]));
    let bytes = coded(&grey.into(), ImageFormat::Jpeg);
    assert!(largest_difference(&open_rgb(&bytes).unwrap(), &flat(16, 8, [77; 3])) <= 1);
}

#[test]
fn sixteen_bits_are_rounded_to_eight() {
    let deep = ImageBuffer::from_pixel(6, 4, Luma([0x80ffu16]));
    let bytes = coded(&DynamicImage::ImageLuma16(deep), ImageFormat::Png);
    assert!(largest_difference(&open_rgb(&bytes).unwrap(), &flat(6, 4, [0x80; 3])) <= 1);
}

#[test]
fn what_is_transparent_lies_over_white() {
    for (alpha, colour) in [(0, [255; 3]), (128, [132, 227, 142]), (255, [10, 200, 30])] {
        let clear = RgbaImage::from_pixel(6, 4, Rgba([10, 200, 30, alpha]));
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            assert_eq!(open_rgb(&coded(&clear.clone().into(), format)).unwrap(), flat(6, 4, colour), "{alpha}");
        }
    }
}

#[test]
fn four_inks_become_rgb() {
    for (inks, colour) in [
        ([200, 100, 50, 255], [200, 100, 50]),
        ([255, 255, 255, 255], [255, 255, 255]),
        ([200, 100, 50, 128], [100, 50, 25]),
        ([255, 255, 255, 0], [0, 0, 0]),
    ] {
        let decoded = open_rgb(&cmyk_jpeg(inks)).unwrap();
        // Two roundings: of the transform, and of ink times black.
        assert!(largest_difference(&decoded, &flat(8, 8, colour)) <= 2, "{inks:?}: {:?}", decoded.get_pixel(0, 0));
    }
}

/// Where the first and the last pixel of the first stored row lie in the upright photo, as (right, bottom);
/// from the EXIF standard's words on tag 0x0112.
const CORNERS: [[(bool, bool); 2]; 8] = [
    [(false, false), (true, false)],
    [(true, false), (false, false)],
    [(true, true), (false, true)],
    [(false, true), (true, true)],
    [(false, false), (false, true)],
    [(true, false), (true, true)],
    [(true, true), (true, false)],
    [(false, true), (false, false)],
];

#[test]
fn every_exif_orientation_is_turned_upright() {
    // Red in the stored upper left, green in the upper right, blue below.
    let stored = RgbImage::from_fn(32, 16, |x, y| match (x < 16, y < 8) {
        (true, true) => Rgb([250, 0, 0]),
        (false, true) => Rgb([0, 250, 0]),
        _ => Rgb([0, 0, 250]),
    });
    for (orientation, corners) in (1..).zip(CORNERS) {
        let bytes = with_segment(&jpeg(&stored), 0xE1, &exif(orientation));
        let upright = open_rgb(&bytes).unwrap();
        assert_eq!(upright.dimensions(), if orientation < 5 { (32, 16) } else { (16, 32) });
        assert_eq!(dimensions(&bytes).unwrap(), upright.dimensions());
        let corner = |(right, bottom)| {
            let x = if right { upright.width() - 1 } else { 0 };
            let y = if bottom { upright.height() - 1 } else { 0 };
            upright.get_pixel(x, y).0
        };
        let (red, green) = (corner(corners[0]), corner(corners[1]));
        assert!(red[0] > 200 && red[1] < 60, "orientation {orientation}: {red:?}");
        assert!(green[1] > 200 && green[0] < 60, "orientation {orientation}: {green:?}");
    }
}

#[test]
fn an_impossible_orientation_counts_as_none() {
    let bytes = with_segment(&jpeg(&photo(16, 8)), 0xE1, &exif(9));
    assert_eq!(dimensions(&bytes).unwrap(), (16, 8));
}

#[test]
fn an_empty_file_is_called_empty() {
    assert_eq!(open_rgb(&[]), Err(ImageProblem::Empty));
    assert_eq!(dimensions(&[]), Err(ImageProblem::Empty));
}

#[test]
fn an_error_page_is_quoted() {
    let problem = open_rgb(b"<!DOCTYPE html><html><body>404</body></html>").unwrap_err();
    assert!(matches!(&problem, ImageProblem::NotAnImage { .. }));
    assert!(problem.to_string().contains("begins with `<!DOCTYPE html><html><bo`"), "{problem}");
    assert!(problem.fix().contains("error page"));
}

#[test]
fn a_format_that_is_not_read_is_named() {
    let problem = open_rgb(b"\0\0\0\x18ftypheic\0\0\0\0").unwrap_err();
    assert_eq!(problem, ImageProblem::Unsupported { format: "HEIC".into() });
    assert!(problem.fix().contains("convert it to JPEG"));
}

#[test]
fn a_jpeg_cut_anywhere_is_refused() {
    let whole = with_segment(&jpeg(&photo(64, 48)), 0xE1, &exif(6));
    assert!(open_rgb(&whole).is_ok());
    for length in 3..whole.len() {
        assert_eq!(open_rgb(&whole[..length]), Err(ImageProblem::Truncated), "cut to {length} of {}", whole.len());
    }
}

#[test]
fn the_end_marker_of_a_thumbnail_is_not_taken_for_the_photos() {
    let thumbnail = [exif(1), jpeg(&photo(8, 8))].concat();
    let whole = with_segment(&jpeg(&photo(64, 48)), 0xE1, &thumbnail);
    assert!(open_rgb(&whole).is_ok());
    assert_eq!(open_rgb(&whole[..whole.len() * 9 / 10]), Err(ImageProblem::Truncated));
}

#[test]
fn junk_behind_the_end_of_a_jpeg_is_harmless() {
    let whole = jpeg(&photo(16, 16));
    assert_eq!(open_rgb(&[&whole[..], b"\xFF\xFFjunk"].concat()), open_rgb(&whole));
}

#[test]
fn other_formats_cut_in_half_are_refused() {
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Gif] {
        let whole = coded(&photo(64, 48).into(), format);
        for tenth in [1, 5, 9] {
            let problem = open_rgb(&whole[..whole.len() * tenth / 10]);
            assert!(
                matches!(problem, Err(ImageProblem::Truncated | ImageProblem::Damaged { .. })),
                "{format:?} cut to {tenth} tenths: {:?}",
                problem.map(|image| image.dimensions())
            );
        }
    }
}

#[test]
fn a_header_that_claims_a_huge_photo_is_refused_without_decoding() {
    let huge = ImageProblem::TooLarge { width: 30_000, height: 30_000 };
    let jpeg = with_claimed_size(&jpeg(&photo(16, 16)), 30_000, 30_000);
    for bytes in [jpeg, bmp_header(30_000, 30_000)] {
        assert_eq!(open_rgb(&bytes), Err(huge.clone()));
        assert_eq!(dimensions(&bytes), Err(huge.clone()));
    }
    assert!(huge.to_string().contains("30000 x 30000 pixels"));
}

#[test]
fn too_many_pixels_are_refused_at_an_allowed_side() {
    let bytes = with_claimed_size(&jpeg(&photo(16, 16)), 16_000, 16_000);
    assert_eq!(open_rgb(&bytes), Err(ImageProblem::TooLarge { width: 16_000, height: 16_000 }));
}

#[test]
fn a_huge_header_alone_is_still_called_too_large() {
    let bytes = with_claimed_size(&jpeg(&photo(16, 16)), 30_000, 30_000);
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    assert!(matches!(open_rgb(&bytes[..frame + 19]), Err(ImageProblem::TooLarge { width: 30_000, .. })));
}

#[test]
fn a_tiff_whose_samples_do_not_fill_bytes_evenly_is_refused_by_name() {
    let whole = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/photos/grey.tif")).unwrap();
    let entry = whole.windows(4).position(|window| window == [2, 1, 3, 0]).unwrap();
    for bits in [3, 5, 6, 7, 9, 12] {
        let mut bytes = whole.clone();
        bytes[entry + 8] = bits;
        let problem = open_rgb(&bytes).unwrap_err();
        assert!(problem.why().contains(&format!("of {bits} bits")), "{problem}");
    }
}

#[test]
fn a_frame_without_area_is_refused() {
    let bytes = with_claimed_size(&jpeg(&photo(16, 16)), 0, 16);
    assert!(matches!(open_rgb(&bytes), Err(ImageProblem::Damaged { .. })));
}

#[test]
fn a_header_of_any_format_that_gives_no_area_is_refused() {
    let gif = coded(&DynamicImage::ImageRgb8(photo(16, 16)), ImageFormat::Gif);
    let no_width = [&gif[..6], &[0, 0], &gif[8..]].concat();
    let no_height = [&gif[..8], &[0, 0], &gif[10..]].concat();
    for bytes in [no_width, no_height, bmp_header(0, 16), bmp_header(16, 0)] {
        for problem in [open_rgb(&bytes).unwrap_err(), dimensions(&bytes).unwrap_err()] {
            assert!(matches!(problem, ImageProblem::Damaged { .. }), "{problem}");
        }
    }
}

#[test]
fn a_decoder_that_says_a_word_for_each_of_many_samples_is_cut_short() {
    let mut bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/photos/rgb.tif")).unwrap();
    let samples = bytes.windows(4).position(|window| window == [0x15, 1, 3, 0]).unwrap();
    bytes[samples + 8..samples + 10].copy_from_slice(&60_000u16.to_le_bytes());
    let formats = bytes.windows(4).position(|window| window == [2, 1, 3, 0]).unwrap();
    bytes[formats + 4..formats + 10].copy_from_slice(&[1, 0, 0, 0, 1, 0]);
    let problem = open_rgb(&bytes).unwrap_err().to_string();
    assert!(problem.len() < 1000, "{} bytes", problem.len());
}

#[test]
fn every_problem_says_why_and_how_to_fix_it_in_one_line() {
    let problems = [
        ImageProblem::Empty,
        ImageProblem::not_an_image(b"line\nbreak"),
        ImageProblem::Unsupported { format: "Tiff".into() },
        ImageProblem::Truncated,
        ImageProblem::TooLarge { width: 1, height: 2 },
        ImageProblem::Damaged { detail: "a bad table".into() },
    ];
    for problem in problems {
        let text = problem.to_string();
        assert!(text.contains(&problem.why()) && text.contains(problem.fix()) && !text.contains('\n'), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn changed_bytes_are_decoded_or_refused_without_a_panic(
        format in 0usize..5, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};
        let mut bytes = coded(&photo(24, 20).into(), [Jpeg, Png, Gif, Bmp, WebP][format]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let (Ok(photo), Ok(size)) = (open_rgb(&bytes), dimensions(&bytes)) {
            prop_assert_eq!(photo.dimensions(), size);
        }
    }
}
