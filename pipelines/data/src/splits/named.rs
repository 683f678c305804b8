//! The published splits of CUB-200-2011, one line each: `SPLITS` below is the table.
//!
//! A class list is a comma-separated text of ids `7`, ranges `7-9`, stepped ranges `1-199/2`, open ranges
//! `1-/2` that go on for any number of classes, and `rest`: the ids up to 200 that the other parts leave.
//!
//! | name | source |
//! |---|---|
//! | `closerlook` | Chen et al. 2019, *A Closer Look at Few-shot Classification*: with i = id − 1, base i even, val i mod 4 = 1, novel i mod 4 = 3 |
//! | `frn` | Wertheimer et al. 2021, *Feature Map Reconstruction Networks*: the same on the id itself; every novel class of `closerlook` is a base class here, so weights do not carry over |
//! | `bifrn` | Wu et al. 2023, *Bi-directional Feature Reconstruction Network*: novel as `frn`, 130 base classes |
//! | `feat` | Ye et al. 2020, *Few-Shot Learning via Embedding Adaptation with Set-to-Set Functions* (FEAT): random list |
//! | `sfa` | Chen et al. 2019, *Multi-Level Semantic Feature Augmentation for One-Shot Learning*: random list |
//! | `metadataset` | Triantafillou et al. 2020, *Meta-Dataset*: random list, 140 base classes |
//! | `sequential` | 1–100, 101–150, 151–200 |

use crate::Part;

/// One published split; the parts are class lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedSplit {
    /// Its name in configs and tables.
    pub name: &'static str,
    base: &'static str,
    val: &'static str,
    novel: &'static str,
}

/// Number of classes that `rest` is taken from.
const CUB_CLASSES: u32 = 200;

/// The splits there are.
#[rustfmt::skip]
pub const SPLITS: &[NamedSplit] = &[
    NamedSplit { name: "closerlook", base: "1-/2", val: "2-/4", novel: "4-/4" },
    NamedSplit { name: "frn", base: "2-/2", val: "1-/4", novel: "3-/4" },
    NamedSplit { name: "bifrn", base: "rest", val: "121-197/4", novel: "3-199/4" },
    NamedSplit { name: "feat", base: "rest", val: "1,2,4,7,12,14,16,21,24,36,42,43,49,50,51,53,58,65,66,69,70,77,79,85,86,92,95,96,101,103,105,106,111,117,120,121,122,136,156,157,159,162,163,165,168,172,187,192,199,200", novel: "10,18,22,26,29,30,32,33,35,37,39,40,48,54,59,68,71,73,78,80,82,83,88,89,100,104,115,116,118,128,129,133,134,141,143,148,149,152,158,166,167,170,173,174,175,177,189,191,193,194" },
    NamedSplit { name: "sfa", base: "3,5,6,7,8,10,11,12,13,17,18,21,25,27,30,33,34,35,38,39,40,41,42,43,44,53,54,57,58,61,65,71,73,75,78,80,84,86,87,90,91,93,94,97,98,100,102,103,105,106,107,108,109,113,117,119,120,127,130,134,135,137,138,139,140,141,142,144,145,146,147,148,152,153,154,155,159,160,162,164,168,171,172,174,176,177,179,182,184,185,186,188,189,191,192,193,194,195,199,200", val: "1,2,4,9,19,23,26,29,32,37,47,55,56,62,64,68,70,72,76,79,82,88,89,96,99,104,111,112,114,115,118,121,122,125,126,128,133,136,149,150,151,161,163,165,169,175,180,181,190,196", novel: "14,15,16,20,22,24,28,31,36,45,46,48,49,50,51,52,59,60,63,66,67,69,74,77,81,83,85,92,95,101,110,116,123,124,129,131,132,143,156,157,158,166,167,170,173,178,183,187,197,198" },
    NamedSplit { name: "metadataset", base: "rest", val: "44,51,52,55,57,61,64,66,68,72,76,80,84,96,113,121,127,136,140,145,150,155,159,162,172,176,178,198,199,200", novel: "8,9,15,20,28,30,35,39,45,46,82,85,94,101,103,112,118,122,128,133,134,137,147,148,163,168,169,170,193,194" },
    NamedSplit { name: "sequential", base: "1-100", val: "101-150", novel: "151-200" },
];

impl NamedSplit {
    /// The split of that name.
    pub fn find(name: &str) -> Option<&'static NamedSplit> {
        SPLITS.iter().find(|split| split.name == name)
    }

    /// The part of a class id, if the split uses it.
    pub fn part_of(&self, id: u32) -> Option<Part> {
        let listed = Part::ALL.into_iter().find(|&part| lists(self.classes(part), id));
        let rest = || Part::ALL.into_iter().find(|&part| self.classes(part) == "rest");
        listed.or_else(|| if (1..=CUB_CLASSES).contains(&id) { rest() } else { None })
    }

    fn classes(&self, part: Part) -> &'static str {
        match part {
            Part::Base => self.base,
            Part::Val => self.val,
            Part::Novel => self.novel,
        }
    }
}

/// Whether a class list holds the id; `rest` holds none by itself.
fn lists(list: &str, id: u32) -> bool {
    list != "rest" && list.split(',').any(|term| term_holds(term, id))
}

fn term_holds(term: &str, id: u32) -> bool {
    let number = |text: &str| text.parse::<u32>().expect("the table of splits holds ids only");
    let (range, step) = term.split_once('/').map_or((term, 1), |(range, step)| (range, number(step)));
    let Some((first, last)) = range.split_once('-') else { return number(range) == id };
    let first = number(first);
    let last = if last.is_empty() { u32::MAX } else { number(last) };
    (first..=last).contains(&id) && (id - first).is_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::super::cub_image_counts::PHOTOS;
    use super::*;

    fn members(split: &NamedSplit, part: Part) -> Vec<u32> {
        (1..=CUB_CLASSES).filter(|&id| split.part_of(id) == Some(part)).collect()
    }

    fn counts(name: &str) -> [(usize, u32); 3] {
        let split = NamedSplit::find(name).unwrap();
        Part::ALL.map(|part| {
            let ids = members(split, part);
            (ids.len(), ids.iter().map(|&id| PHOTOS[id as usize - 1]).sum())
        })
    }

    #[test]
    fn every_split_has_its_published_numbers_of_classes_and_photos() {
        assert_eq!(counts("closerlook"), [(100, 5885), (50, 2950), (50, 2953)]);
        assert_eq!(counts("frn"), [(100, 5903), (50, 2927), (50, 2958)]);
        assert_eq!(counts("bifrn"), [(130, 7638), (20, 1192), (50, 2958)]);
        assert_eq!(counts("feat"), [(100, 5891), (50, 2932), (50, 2965)]);
        assert_eq!(counts("sfa"), [(100, 5863), (50, 2971), (50, 2954)]);
        assert_eq!(counts("metadataset"), [(140, 8239), (30, 1779), (30, 1770)]);
        assert_eq!(counts("sequential"), [(100, 5864), (50, 2958), (50, 2966)]);
        assert_eq!(SPLITS.len(), 7);
    }

    #[test]
    fn no_class_list_holds_an_id_of_another() {
        for split in SPLITS {
            for id in 1..=CUB_CLASSES {
                let parts = Part::ALL.into_iter().filter(|&part| lists(split.classes(part), id)).count();
                assert!(parts <= 1, "{} lists {id} in {parts} parts", split.name);
                assert!(split.part_of(id).is_some(), "{} leaves {id} out", split.name);
            }
        }
    }

    #[test]
    fn the_members_of_every_split_stay_what_they_are() {
        let digest = |split: &NamedSplit| {
            let lists = Part::ALL.map(|part| format!("{part} {:?}\n", members(split, part)));
            blake3::hash(lists.concat().as_bytes()).to_hex()[..16].to_owned()
        };
        let digests: Vec<(&str, String)> = SPLITS.iter().map(|split| (split.name, digest(split))).collect();
        let expected = [
            ("closerlook", "8f5418e35eb2930c"),
            ("frn", "632b27a037d50961"),
            ("bifrn", "30516955cef963dc"),
            ("feat", "51ec313351b35b2d"),
            ("sfa", "0af5b61dfe140969"),
            ("metadataset", "c32f36042156411e"),
            ("sequential", "75c748a3a8f854ea"),
        ];
        assert_eq!(digests, expected.map(|(name, digest)| (name, digest.to_owned())));
    }

    #[test]
    fn the_rules_go_on_beyond_200_classes_and_the_lists_do_not() {
        let part = |name: &str, id| NamedSplit::find(name).unwrap().part_of(id);
        assert_eq!(part("closerlook", 201), Some(Part::Base));
        assert_eq!(part("closerlook", 202), Some(Part::Val));
        assert_eq!(part("closerlook", 204), Some(Part::Novel));
        assert!(["bifrn", "feat", "sfa", "metadataset", "sequential"].iter().all(|name| part(name, 201).is_none()));
        assert!(SPLITS.iter().all(|split| split.part_of(0).is_none()));
    }

    #[test]
    fn novel_classes_of_closerlook_are_base_classes_of_frn() {
        let [closerlook, frn] = ["closerlook", "frn"].map(|name| NamedSplit::find(name).unwrap());
        assert!(members(closerlook, Part::Novel).iter().all(|&id| frn.part_of(id) == Some(Part::Base)));
    }
}
