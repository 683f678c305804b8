//! From the rule of a config to the part of each class.

use super::{NamedSplit, SPLITS, parse_file};
use crate::dataset::NAMED;
use crate::streams::{Draw, stream};
use crate::{Class, ClassId, DataError, Part};
use std::collections::{BTreeMap, BTreeSet};

/// How classes are divided.
#[derive(Debug, Clone, PartialEq)]
pub enum SplitRule {
    /// A published split, by its name in [`SPLITS`].
    Named(&'static str),
    /// Classes in random order, divided by shares.
    Random {
        /// Seed of the order.
        seed: u64,
        /// Shares of base, val and novel; only their proportions count.
        ratios: [f64; 3],
    },
    /// The text of a split file, see [`parse_file`].
    File(String),
}

/// Shares of a random split without given ones: those of most CUB splits.
const DEFAULT_RATIOS: [f64; 3] = [0.5, 0.25, 0.25];

impl SplitRule {
    /// The rule a name stands for: one of [`SPLITS`], `random` or `random:SEED` (of the shares ½ ¼ ¼).
    ///
    /// # Errors
    /// [`DataError::UnknownSplit`], which lists the names.
    pub fn from_name(name: &str) -> Result<SplitRule, DataError> {
        if let Some(split) = NamedSplit::find(name) {
            return Ok(SplitRule::Named(split.name));
        }
        let seed = match name.split_once(':') {
            None if name == "random" => Some(0),
            Some(("random", seed)) => seed.parse().ok(),
            _ => None,
        };
        let seed = seed.ok_or_else(|| unknown(name))?;
        Ok(SplitRule::Random { seed, ratios: DEFAULT_RATIOS })
    }
}

fn unknown(name: &str) -> DataError {
    let mut known: Vec<&str> = SPLITS.iter().map(|split| split.name).collect();
    known.extend(["random", "random:SEED"]);
    DataError::UnknownSplit { name: name.to_owned(), known: known.join(", ") }
}

/// What each class is for, and what of a split file is to be said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assigned {
    /// The part of each class that has one.
    pub parts: BTreeMap<ClassId, Part>,
    /// What people should read.
    pub warnings: Vec<String>,
}

/// Gives each class its part. A class that a named split or a file does not mention is left out: it is
/// unused. An id that they mention and `classes` does not hold is ignored, so that published splits serve
/// for subsets of a dataset; a name that a file mentions and nothing has is a warning.
///
/// ```
/// use mlsm_data::splits::assign;
/// use mlsm_data::{Class, ClassId, Part, SplitRule};
///
/// let class = |id: u32| Class { class_id: ClassId(id), name: format!("{id:03}") };
/// let rule = SplitRule::File("base = [1, 2]\nnovel = [3]".to_owned());
/// let parts = assign(&rule, &[class(1), class(2), class(3), class(4)])?.parts;
/// assert_eq!(parts.get(&ClassId(3)), Some(&Part::Novel));
/// assert_eq!(parts.get(&ClassId(4)), None, "the file does not name it");
/// # Ok::<(), mlsm_data::DataError>(())
/// ```
///
/// # Errors
/// All of the config: [`DataError::UnknownSplit`], [`DataError::Invalid`] for impossible shares, those of
/// [`parse_file`], [`DataError::ClassInTwoParts`], and [`DataError::EmptySplit`] when no class gets a part.
pub fn assign(rule: &SplitRule, classes: &[Class]) -> Result<Assigned, DataError> {
    let ids: BTreeSet<ClassId> = classes.iter().map(|class| class.class_id).collect();
    let (parts, warnings) = match rule {
        SplitRule::Named(name) => {
            let split = NamedSplit::find(name).ok_or_else(|| unknown(name))?;
            (ids.iter().filter_map(|&class_id| Some((class_id, split.part_of(class_id.0)?))).collect(), Vec::new())
        }
        SplitRule::Random { seed, ratios } => (random(*seed, ratios, &ids)?, Vec::new()),
        SplitRule::File(text) => by_file(text, classes)?,
    };
    if parts.is_empty() {
        return Err(DataError::EmptySplit { why: in_words(&ids) });
    }
    Ok(Assigned { parts, warnings })
}

/// Finds the classes that a file names, by name, then by id. Where classes have no numbers, small numbers are positions
/// among the sorted names: they move when a class is added, and that is said.
fn by_file(text: &str, classes: &[Class]) -> Result<(BTreeMap<ClassId, Part>, Vec<String>), DataError> {
    let by_name: BTreeMap<&str, ClassId> = classes.iter().map(|class| (class.name.as_str(), class.class_id)).collect();
    let ids: BTreeSet<ClassId> = by_name.values().copied().collect();
    let in_order: Vec<ClassId> = by_name.values().copied().collect();
    let no_numbers = ids.iter().all(|id| id.0 >= NAMED);
    let (mut parts, mut unknown, mut positions) = (BTreeMap::<ClassId, Part>::new(), Vec::new(), 0usize);
    for (written, part) in parse_file(text)? {
        let number = written.parse::<u32>().ok();
        let by_position = || Some(*in_order.get(usize::try_from(number?).ok()?.checked_sub(1)?)?);
        let by_id = || number.map(ClassId).filter(|id| ids.contains(id));
        let found = by_name.get(written.as_str()).copied().or_else(by_id);
        let found = match found {
            None if no_numbers => by_position().inspect(|_| positions += 1),
            found => found,
        };
        match found {
            Some(class) => {
                if let Some(first) = parts.insert(class, part).filter(|first| *first != part) {
                    return Err(DataError::ClassInTwoParts { class: written, first, second: part });
                }
            }
            None if number.is_none() => unknown.push(written),
            None => {}
        }
    }
    let mut warnings = Vec::new();
    if positions > 0 {
        warnings.push(format!(
            "the split file gives {positions} classes by their positions among the sorted names, which move when a class is \
             added: write their names"
        ));
    }
    if let Some(first) = unknown.first() {
        let (count, first) = (unknown.len(), first.escape_debug());
        warnings.push(format!(
            "the split file names {count} classes that the data set does not have, the first is {first}"
        ));
    }
    Ok((parts, warnings))
}

fn in_words(classes: &BTreeSet<ClassId>) -> String {
    match (classes.first(), classes.last()) {
        (Some(first), Some(last)) => {
            format!("the dataset has {} classes with ids from {first} to {last}", classes.len())
        }
        _ => "the dataset has no classes".into(),
    }
}

fn random(seed: u64, ratios: &[f64; 3], classes: &BTreeSet<ClassId>) -> Result<BTreeMap<ClassId, Part>, DataError> {
    let total: f64 = ratios.iter().sum();
    if !ratios.iter().all(|ratio| ratio.is_finite() && *ratio >= 0.0) || !total.is_finite() || total <= 0.0 {
        return Err(DataError::invalid(
            format!("the split ratios {ratios:?}"),
            "each must be 0 or more, and one of them more",
            "write shares of base, val and novel such as [0.5, 0.25, 0.25]",
        ));
    }
    let mut order: Vec<ClassId> = classes.iter().copied().collect();
    match classes.iter().all(|class| class.0 >= NAMED) {
        // Ids from names: each class keeps its place in the order whatever is added.
        true => order.sort_by_cached_key(|class| {
            *blake3::hash(&[seed.to_le_bytes().as_slice(), &class.0.to_le_bytes()].concat()).as_bytes()
        }),
        false => stream(seed, "split/random", 0).shuffle(&mut order),
    }
    let counts = largest_remainders(order.len(), &ratios.map(|ratio| ratio / total));
    let parts = Part::ALL.into_iter().zip(counts).flat_map(|(part, count)| std::iter::repeat_n(part, count));
    Ok(order.into_iter().zip(parts).collect())
}

/// Divides `n` by shares that add up to 1; what rounding leaves goes to the largest remainders.
fn largest_remainders(n: usize, shares: &[f64; 3]) -> [usize; 3] {
    let exact = shares.map(|share| share * n as f64);
    let mut counts = exact.map(|count| count.floor() as usize);
    let remainder = |part: usize| exact[part] - exact[part].floor();
    let mut order = [0, 1, 2];
    order.sort_by(|&left, &right| remainder(right).total_cmp(&remainder(left)));
    for &part in order.iter().cycle().take(n.saturating_sub(counts.iter().sum())) {
        counts[part] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlsm_errors::Explain;
    use proptest::prelude::*;

    fn ids(range: std::ops::RangeInclusive<u32>) -> Vec<Class> {
        range.map(numbered).collect()
    }

    fn numbered(id: u32) -> Class {
        Class { class_id: ClassId(id), name: format!("{id:03}.class") }
    }

    /// Classes without numbers, their ids as if from their names.
    fn named(names: &[&str]) -> Vec<Class> {
        let id = |name: &str| {
            ClassId(NAMED | u32::from_le_bytes(blake3::hash(name.as_bytes()).as_bytes()[..4].try_into().unwrap()) >> 2)
        };
        names.iter().map(|name| Class { class_id: id(name), name: (*name).to_owned() }).collect()
    }

    #[test]
    fn a_file_names_classes_and_a_class_more_changes_no_part() {
        let rule = SplitRule::File("b base\nval = [\"c\"]\nd novel\nmissing novel\n".into());
        let parts = |names: &[&str]| assign(&rule, &named(names)).unwrap();
        let before = parts(&["b", "c", "d"]);
        let parts_in_order = |assigned: &Assigned| assigned.parts.clone();
        assert_eq!(sizes(&before.parts), [1, 1, 1]);
        assert!(before.warnings[0].contains("1 classes") && before.warnings[0].contains("missing"));
        assert_eq!(parts_in_order(&parts(&["a", "b", "c", "d", "z"])), parts_in_order(&before));
    }

    #[test]
    fn positions_of_classes_without_numbers_are_taken_with_a_warning() {
        let assigned = assign(&SplitRule::File("1 base\n2 val\n3 novel\n".into()), &named(&["b", "c", "d"])).unwrap();
        assert_eq!(sizes(&assigned.parts), [1, 1, 1]);
        assert!(assigned.warnings[0].contains("positions"), "{:?}", assigned.warnings);
        let twice = assign(&SplitRule::File("1 base\nb novel\n".into()), &named(&["b", "c"]));
        assert!(matches!(twice, Err(DataError::ClassInTwoParts { .. })));
    }

    #[test]
    fn a_class_more_leaves_most_random_parts_as_they_are() {
        let names: Vec<String> = (0..40).map(|i| format!("class {i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let rule = SplitRule::Random { seed: 3, ratios: DEFAULT_RATIOS };
        let before = assign(&rule, &named(&names[1..])).unwrap().parts;
        let after = assign(&rule, &named(&names)).unwrap().parts;
        let moved = before.iter().filter(|(class, part)| after[*class] != **part).count();
        assert!(moved <= 2, "{moved} of 39 classes");
    }

    fn random_split(seed: u64, ratios: [f64; 3], n: u32) -> BTreeMap<ClassId, Part> {
        assign(&SplitRule::Random { seed, ratios }, &ids(1..=n)).unwrap().parts
    }

    fn sizes(parts: &BTreeMap<ClassId, Part>) -> [usize; 3] {
        Part::ALL.map(|part| parts.values().filter(|&&found| found == part).count())
    }

    #[test]
    fn a_named_split_serves_for_a_subset_of_the_classes() {
        let rule = SplitRule::from_name("closerlook").unwrap();
        let parts = assign(&rule, &[4, 1, 2, 3].map(numbered)).unwrap().parts;
        let in_order: Vec<Part> = parts.into_values().collect();
        assert_eq!(in_order, [Part::Base, Part::Val, Part::Base, Part::Novel]);
    }

    #[test]
    fn classes_beyond_a_published_list_are_unused() {
        let parts = assign(&SplitRule::from_name("sfa").unwrap(), &ids(199..=205)).unwrap().parts;
        assert_eq!(parts.into_keys().collect::<Vec<_>>(), [ClassId(199), ClassId(200)]);
    }

    #[test]
    fn a_split_without_any_class_of_the_dataset_is_refused() {
        let error = assign(&SplitRule::Named("sfa"), &ids(300..=310)).unwrap_err();
        assert!(error.explain().to_string().contains("11 classes with ids from 300 to 310"), "{error:?}");
        assert!(matches!(assign(&SplitRule::Named("closerlook"), &[]), Err(DataError::EmptySplit { .. })));
    }

    #[test]
    fn a_random_split_depends_on_its_seed_and_not_on_the_order_of_the_classes() {
        let forwards = random_split(1, DEFAULT_RATIOS, 40);
        let rule = SplitRule::Random { seed: 1, ratios: DEFAULT_RATIOS };
        let backwards: Vec<Class> = ids(1..=40).into_iter().rev().collect();
        assert_eq!(assign(&rule, &backwards).unwrap().parts, forwards);
        assert_ne!(random_split(2, DEFAULT_RATIOS, 40), forwards);
    }

    #[test]
    fn a_random_split_has_the_asked_proportions() {
        assert_eq!(sizes(&random_split(0, [0.5, 0.25, 0.25], 200)), [100, 50, 50]);
        assert_eq!(sizes(&random_split(0, [100.0, 50.0, 50.0], 40)), [20, 10, 10]);
        assert_eq!(sizes(&random_split(0, [0.8, 0.0, 0.2], 10)), [8, 0, 2]);
    }

    #[test]
    fn impossible_ratios_are_refused() {
        for ratios in [[0.0; 3], [-1.0, 1.0, 1.0], [f64::NAN, 1.0, 1.0], [f64::INFINITY, 1.0, 1.0]] {
            let error = assign(&SplitRule::Random { seed: 0, ratios }, &ids(1..=10)).unwrap_err();
            assert!(matches!(error, DataError::Invalid { .. }) && error.is_config());
        }
    }

    #[test]
    fn names_stand_for_their_rules() {
        assert_eq!(SplitRule::from_name("frn").unwrap(), SplitRule::Named("frn"));
        let random = |seed| SplitRule::Random { seed, ratios: DEFAULT_RATIOS };
        assert_eq!(SplitRule::from_name("random").unwrap(), random(0));
        assert_eq!(SplitRule::from_name("random:17").unwrap(), random(17));
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_names_there_are() {
        for name in ["", "CloserLook", "random:x", "hilliard", "closerlook:1"] {
            let error = SplitRule::from_name(name).unwrap_err();
            assert!(error.is_config() && error.explain().to_string().contains("closerlook, frn, bifrn"), "{error:?}");
        }
    }

    #[test]
    fn a_file_serves_for_a_subset_of_the_classes_too() {
        let parts = assign(&SplitRule::File("1 base\n2 val\n900 novel\n".into()), &ids(1..=3)).unwrap().parts;
        assert_eq!(parts.into_iter().collect::<Vec<_>>(), [(ClassId(1), Part::Base), (ClassId(2), Part::Val)]);
    }

    proptest! {
        #[test]
        fn a_random_split_gives_every_class_one_part(seed: u64, n in 1u32..80, base in 0.0f64..1.0, val in 0.0f64..1.0) {
            let ratios = [base, val, 0.1];
            let parts = random_split(seed, ratios, n);
            prop_assert_eq!(parts.len(), n as usize);
            for (count, ratio) in sizes(&parts).into_iter().zip(ratios) {
                let exact = f64::from(n) * ratio / (base + val + 0.1);
                prop_assert!((count as f64 - exact).abs() < 1.0 + 1e-9, "{} of {}", count, exact);
            }
        }
    }
}
