//! Classes of many series on one chart: eight hues, then the same dashed, then dotted.

const CLASSES: [&str; 24] = [
    "series s1",
    "series s2",
    "series s3",
    "series s4",
    "series s5",
    "series s6",
    "series s7",
    "series s8",
    "series s1 dashed",
    "series s2 dashed",
    "series s3 dashed",
    "series s4 dashed",
    "series s5 dashed",
    "series s6 dashed",
    "series s7 dashed",
    "series s8 dashed",
    "series s1 dotted",
    "series s2 dotted",
    "series s3 dotted",
    "series s4 dotted",
    "series s5 dotted",
    "series s6 dotted",
    "series s7 dotted",
    "series s8 dotted",
];

/// The CSS class of the series at that place; the 25th looks like the first again.
pub fn class(place: usize) -> &'static str {
    CLASSES[place % CLASSES.len()]
}
