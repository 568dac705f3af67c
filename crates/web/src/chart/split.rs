//! The live split of an endpoint as one bar of 100 percent.

use greenlight_domain::route::Routes;
use maud::{Markup, html};

/// The bar with what stands behind each part. A shadow takes no share: it scores beside and decides nothing.
pub fn bar(routes: &Routes, holdout: &str) -> Markup {
    let percent = if routes.champion.is_some() { routes.champion_percent.min(100) } else { 0 };
    let rest = 100 - percent;
    html! {
        figure.chart.split {
            figcaption {
                span.chart-title { "Who decides about the next unit" } " "
                span.units { "percent of units, routes version " (routes.version) }
            }
            svg.split-bar viewBox="0 0 100 6" preserveAspectRatio="none" role="img"
                aria-label={ "Champion " (percent) " percent, holdout " (rest) " percent." } {
                @if percent > 0 { rect.split-champion x="0" y="0" width=(percent) height="6" {} }
                @if rest > 0 { rect.split-holdout x=(percent) y="0" width=(rest) height="6" {} }
            }
            dl.split-parts {
                @if let Some(champion) = &routes.champion {
                    div {
                        dt { span.swatch.split-champion {} "Champion " b { (percent) " %" } }
                        dd { (champion.reference()) ", release "
                            a href={ "/releases/" (champion.release) } { (champion.release) } }
                    }
                }
                div {
                    dt { span.swatch.split-holdout {} "Holdout " b { (rest) " %" } }
                    dd { (holdout) }
                }
                @for shadow in &routes.shadows {
                    div {
                        dt { span.swatch.split-shadow {} "Shadow" }
                        dd { (shadow.reference()) ", release "
                            a href={ "/releases/" (shadow.release) } { (shadow.release) }
                            "; scores beside the live answer and decides nothing" }
                    }
                }
            }
        }
    }
}
