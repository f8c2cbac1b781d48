//! The page of a picture: an SVG file that needs nothing else.
//!
//! It brings its own background, in a light and a dark form, so that it can be read wherever it is
//! shown.

/// What all pictures look like: text (`title`, `name`, `small`), the page, a `panel` on it, an `axis`.
const STYLE: &str = "
  text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #57606a }
  .title { font-size: 17px; font-weight: 600; fill: #1f2328 }
  .name { font-size: 14px; font-weight: 600; fill: #1f2328 }
  .small { font-size: 11px }
  .page { fill: #ffffff }
  .panel { fill: #f6f8fa; stroke: #d0d7de }
  .axis { stroke: #d0d7de }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 }
    .title, .name { fill: #f0f6fc }
    .page { fill: #0d1117 }
    .panel { fill: #151b23; stroke: #3d444d }
    .axis { stroke: #3d444d }
  }
";

/// A page of this size with what is drawn on it, in the style of all and a style of its own. `shown`
/// tells in words what it shows.
pub(crate) fn page(shown: &str, style: &str, (width, height): (f64, f64), drawn: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\" aria-labelledby=\"title\">\n\
         <title id=\"title\">{shown}</title>\n<style>{STYLE}{style}</style>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\n{drawn}</svg>\n"
    )
}
