//! Charts with many, few and no points.

use greenlight_web::chart::scale::{Scale, date_ticks, extent, ticks};
use greenlight_web::chart::{forecast, histogram, months, px, split, thinned};
use maud::html;

use crate::fixtures::{EUR, day, forecast as points, month, months as history, routes};

fn sound(markup: &str) {
    for wrong in ["NaN", "inf", "style=", "<script", "onload"] {
        assert!(!markup.contains(wrong), "{wrong} in {markup}");
    }
}

#[test]
fn the_forecast_chart_stands_any_number_of_points() {
    assert_eq!(forecast::chart(&[], EUR, 0.95, "case").into_string(), "");
    for count in [1, 2, 3, 45, 46, 700] {
        let markup = forecast::chart(&points(count), EUR, 0.95, "case").into_string();
        sound(&markup);
        assert_eq!(markup.matches("role=\"img\"").count(), 2, "one for wide and one for narrow screens");
    }
}

#[test]
fn the_forecast_chart_of_one_day() {
    insta::assert_snapshot!(
        forecast::chart(&points(1), EUR, 0.95, "case").into_string().replace("><", ">\n<")
    );
}

#[test]
fn the_forecast_chart_stands_numbers_that_are_none() {
    let mut days = points(3);
    days[0].earned_minor = None;
    days[1].earned_low_minor = Some(f64::NEG_INFINITY);
    days[1].earned_high_minor = Some(f64::INFINITY);
    days[2].earned_minor = Some(f64::NAN);
    sound(&forecast::chart(&days, EUR, 0.95, "case").into_string());
    let same = vec![days[0]; 4];
    sound(&forecast::chart(&same, EUR, 0.95, "case").into_string());
}

#[test]
fn a_long_forecast_is_thinned_and_keeps_its_last_day() {
    assert_eq!(thinned(&[1, 2, 3, 4, 5], 2), [2, 5]);
    assert_eq!(thinned(&[1, 2, 3], 5), [1, 2, 3]);
    assert_eq!(thinned::<i32>(&[], 5), [0; 0]);
}

#[test]
fn months_and_scores_stand_few_and_many_bars() {
    assert_eq!(months::chart(&[], EUR, 0.95, html! {}).into_string(), "");
    sound(&months::chart(&[month("2008-11", f64::NAN)], EUR, 0.95, html! {}).into_string());
    sound(&months::chart(&history(), EUR, 0.95, html! {}).into_string());
    assert_eq!(histogram::chart(&[], &[], 0.0).into_string(), "");
    assert_eq!(histogram::chart(&[1, 2], &[1], 0.0).into_string(), "", "bins that differ cannot be compared");
    sound(&histogram::chart(&[0], &[0], 0.0).into_string());
    sound(&histogram::chart(&[1; 30], &[2; 30], f64::INFINITY).into_string().replace("bins; drift", ""));
}

#[test]
fn the_split_adds_up_to_a_hundred() {
    insta::assert_snapshot!(split::bar(&routes(), "Call everyone").into_string().replace("><", ">\n<"));
    let none = greenlight_domain::route::Routes { champion: None, ..routes() };
    assert!(split::bar(&none, "rule").into_string().contains("Champion 0 percent, holdout 100 percent."));
}

#[test]
fn ticks_are_round_and_enclose() {
    assert_eq!(ticks((0.0, 43.0), 5), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
    assert_eq!(ticks((-3.0, 7.0), 5), [-4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0]);
    assert_eq!(ticks((0.0, f64::NAN), 5), [0.0]);
    assert_eq!(extent([f64::NAN].into_iter()), (0.0, 1.0));
    assert_eq!(extent([-5.0, 3.0].into_iter()), (-5.0, 3.0));
}

#[test]
fn a_scale_without_extent_maps_to_its_middle() {
    assert!((Scale::new((5.0, 5.0), (0.0, 100.0)).at(5.0) - 50.0).abs() < 1e-9);
    assert!((Scale::new((0.0, 10.0), (100.0, 0.0)).at(2.5) - 75.0).abs() < 1e-9);
    assert!((Scale::new((0.0, 10.0), (0.0, 100.0)).at(99.0) - 100.0).abs() < 1e-9, "held within");
    assert_eq!(px(f64::NAN), "0.0");
}

#[test]
fn dates_are_labelled_by_day_or_by_month() {
    let labels =
        |until, most| date_ticks(day(0), day(until), most).into_iter().map(|t| t.label).collect::<Vec<_>>();
    assert_eq!(labels(0, 5), ["2009-05-04"]);
    assert_eq!(labels(14, 5), ["2009-05-04", "2009-05-11", "2009-05-18"]);
    assert_eq!(labels(100, 5), ["2009-06", "2009-07", "2009-08"]);
    assert_eq!(labels(360, 5), ["2009-07", "2009-10", "2010-01", "2010-04"]);
    assert!(labels(36_000, 5).len() <= 6);
}
