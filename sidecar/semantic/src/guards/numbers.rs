//! Numbers and their units, in order.

use std::sync::LazyLock;

use regex::Regex;

/// "one" is left out: it is a pronoun more often than a number.
const NAMED: [(&str, &str); 15] = [
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
    ("eleven", "11"),
    ("twelve", "12"),
    ("twenty", "20"),
    ("hundred", "100"),
    ("thousand", "1000"),
    ("million", "1000000"),
];

/// Spellings of one unit, the first is its name.
const UNITS: [&[&str]; 29] = [
    &["usd", "$", "dollar", "dollars"],
    &["eur", "€", "euro", "euros"],
    &["gbp", "£", "pound", "pounds"],
    &["%", "percent"],
    &["kg", "kilogram", "kilograms", "kilo", "kilos"],
    &["g", "gram", "grams"],
    &["mg", "milligram", "milligrams"],
    &["lb", "lbs"],
    &["oz", "ounce", "ounces"],
    &["km", "kilometer", "kilometers", "kilometre", "kilometres"],
    &["m", "meter", "meters", "metre", "metres"],
    &["cm", "centimeter", "centimeters", "centimetre", "centimetres"],
    &["mm", "millimeter", "millimeters"],
    &["mile", "miles", "mi"],
    &["ft", "foot", "feet"],
    &["inch", "inches"],
    &["l", "liter", "liters", "litre", "litres"],
    &["ml", "milliliter", "milliliters"],
    &["second", "seconds", "sec", "s"],
    &["minute", "minutes", "min", "mins"],
    &["hour", "hours", "h", "hr", "hrs"],
    &["day", "days"],
    &["week", "weeks"],
    &["month", "months"],
    &["year", "years"],
    &["kb"],
    &["mb"],
    &["gb"],
    &["tb"],
];

static NUMBER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"([$€£]|[-−])?\s?(\p{Nd}+(?:[.,:/]\p{Nd}+)*)\s?(\p{L}+|[%$€£])?|\p{L}+").ok());

/// Every number of `lower`, as `digits` or `digits unit`.
pub(super) fn read(lower: &str) -> Vec<String> {
    let mut numbers = Vec::new();
    for found in NUMBER.iter().flat_map(|pattern| pattern.captures_iter(lower)) {
        let part = |index| found.get(index).map_or("", |part| part.as_str());
        if part(2).is_empty() {
            numbers.extend(
                NAMED
                    .iter()
                    .filter(|(name, _)| *name == part(0))
                    .map(|(_, digits)| (*digits).to_owned()),
            );
            continue;
        }
        let sign = if matches!(part(1), "-" | "−") { "-" } else { "" };
        let unit = unit(part(3)).or_else(|| unit(part(1))).unwrap_or_default();
        numbers.push(
            format!("{sign}{} {unit}", part(2).replace(',', ""))
                .trim_end()
                .to_owned(),
        );
    }
    numbers
}

/// The unit a word spells, by its name.
pub(super) fn unit(word: &str) -> Option<&'static str> {
    UNITS
        .iter()
        .find(|names| names.contains(&word))
        .and_then(|names| names.first().copied())
}
