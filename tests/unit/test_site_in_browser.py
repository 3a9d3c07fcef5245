"""The page in a browser: a gold column is clicked and followed, step by step, to a CSV field."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from lakehouse import domain as domains
from lakehouse import site

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

# What is done on the page is written into it, and read from the page that the browser prints.
HARNESS = """
<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("securitypolicyviolation", (event) => errors.push(event.blockedURI));
</script>
"""
DONE = """
<script>
addEventListener("load", async () => {
  const pause = () => new Promise((done) => setTimeout(done, 50));
  const panel = document.getElementById("panel");
  const title = () => document.getElementById("panel-title").textContent;
  const cells = () => [...document.querySelectorAll("#trace .cell")].map((c) => c.dataset.node);
  const click = async (target) => {
    target.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
    await pause();
  };
  let result;
  try { result = await (async () => { %s })(); } catch (error) { errors.push(String(error)); }
  const out = document.createElement("pre");
  out.id = "result";
  out.textContent = JSON.stringify({ result, errors });
  document.body.append(out);
});
</script>
"""


@pytest.fixture(scope="module")
def page() -> str:
    return site.page(domains.load(ROOT / "conf", "hospital"))


def done(page: str, folder: Path, script: str, anchor: str = "") -> Any:
    """What a script gives back that works on the page in a browser; no error may happen there."""
    path = folder / "page.html"
    text = page.replace("<body>", f"<body>{HARNESS}", 1)
    path.write_text(text.replace("</body>", f"{DONE % script}</body>"), encoding="utf-8")
    assert BROWSER is not None
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000")
    place = (f"--user-data-dir={folder / 'profile'}", "--dump-dom", f"{path.as_uri()}{anchor}")
    printed = subprocess.run(
        [BROWSER, *options, *place], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    found = re.search(r'<pre id="result">(.*?)</pre>', printed, re.DOTALL)
    assert found, printed[-2000:]
    said = json.loads(unescape(found.group(1)))
    assert said["errors"] == []
    return said["result"]


def test_a_gold_column_is_followed_to_the_field_of_a_file(page: str, tmp_path: Path) -> None:
    way = [
        "gold.department_treatment_summary.total_cost",
        "gold.fact_treatments.treatment_cost",
        "silver.treatments.treatment_cost",
        "bronze.sivareddy_treatments.cost",
        "landing.sivareddy_treatments.cost",
    ]
    script = f"""
      const way = {json.dumps(way)}, seen = [];
      await click(document.querySelector(`tr[id="${{way[0]}}"] th a`));
      seen.push([title(), location.hash, cells(), panel.hidden]);
      const lit = [...document.querySelectorAll("tr.lit")].map((row) => row.id);
      const boxes = [...document.querySelectorAll(".box.lit")].map((box) => box.dataset.table);
      for (const next of way.slice(1)) {{
        await click(document.querySelector(`#trace .cell[data-node="${{next}}"]`));
        seen.push([title(), location.hash, cells(), panel.hidden]);
      }}
      return {{ seen, lit, boxes }};
    """
    result = done(page, tmp_path, script)
    first = result["seen"][0]
    assert first[0] == way[0]
    assert set(way) <= set(first[2])
    assert set(way) <= set(result["lit"])
    tables = {name.rpartition(".")[0] for name in way}
    assert tables <= set(result["boxes"])
    assert "silver.doctors" not in result["boxes"]
    assert [hash_ for _, hash_, _, _ in result["seen"]] == [f"#{name}" for name in way]
    assert not any(hidden for *_, hidden in result["seen"])
    assert result["seen"][-1][0] == "sivareddy: treatments*.csv, field cost"
    assert result["seen"][-1][2] == [way[-1]]


def test_the_steps_say_how_a_number_is_made(page: str, tmp_path: Path) -> None:
    script = 'return document.getElementById("steps").textContent;'
    said = done(page, tmp_path, script, "#gold.department_treatment_summary.total_cost")
    assert "sum(fact_treatments.treatment_cost)" in said
    assert "aggregated from gold.fact_treatments.treatment_cost" in said
    assert said.index("gold.fact_treatments") < said.index("silver.treatments.treatment_cost")
    assert "sivareddy: treatments*.csv, field cost" in said


def test_a_field_of_a_file_is_followed_to_the_numbers(page: str, tmp_path: Path) -> None:
    script = 'await click(document.getElementById("down")); return cells();'
    found = done(page, tmp_path, script, "#landing.visits.follow_up_required")
    assert "gold.follow_up_summary.follow_up_rate" in found
    assert "gold.patient_summary.follow_ups" in found
    assert "gold.patient_summary.total_cost" not in found


def test_counted_rows_are_followed_to_the_rows_of_files(page: str, tmp_path: Path) -> None:
    found = done(page, tmp_path, "return cells();", "#gold.doctor_performance.num_visits")
    assert {"gold.dim_visits.*", "silver.visits.*", "landing.visits.*"} <= set(found)
    assert "landing.treatments.*" not in found


def test_a_table_of_the_picture_offers_its_columns(page: str, tmp_path: Path) -> None:
    script = """
      const box = document.querySelector('.box[data-table="silver.visits"]');
      box.dispatchEvent(new MouseEvent("mouseenter"));
      const lit = [...document.querySelectorAll(".box.lit")].map((b) => b.dataset.table);
      await click(box);
      const offered = [...document.querySelectorAll(".choose a")].map((a) => a.textContent);
      await click(document.querySelector('.choose a[data-node="silver.visits.department"]'));
      return { lit, offered, title: title(), hash: location.hash };
    """
    result = done(page, tmp_path, script)
    assert {"bronze.visits", "gold.dim_visits", "gold.weekly_visit_trends"} <= set(result["lit"])
    assert "gold.dim_patients" not in result["lit"]
    assert result["offered"][:2] == ["visit_id", "patient_id"]
    assert result["title"] == "silver.visits.department"
    assert result["hash"] == "#silver.visits.department"


def test_a_search_finds_a_column_and_keys_work(page: str, tmp_path: Path) -> None:
    script = """
      const key = (target, name) => target.dispatchEvent(
        new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
      const search = document.getElementById("search");
      key(document.body, "/");
      const focused = document.activeElement === search;
      search.value = "follow_up rate";
      search.dispatchEvent(new Event("input", { bubbles: true }));
      const found = [...document.querySelectorAll("#found b")].map((b) => b.textContent);
      key(search, "ArrowDown");
      const first = document.activeElement.textContent;
      key(search, "Enter");
      await pause();
      const opened = title();
      key(document.body, "Escape");
      return { focused, found, first, opened, closed: panel.hidden };
    """
    result = done(page, tmp_path, script)
    assert result["focused"]
    assert "gold.follow_up_summary.follow_up_rate" in result["found"]
    assert result["first"].startswith(result["found"][0])
    assert result["opened"] == result["found"][0]
    assert result["closed"]


def test_a_column_that_the_engine_adds_is_shown_when_it_is_linked(
    page: str, tmp_path: Path
) -> None:
    script = """
      const row = document.getElementById("silver.visits._delivered_at");
      return [row.closest("details").open, title()];
    """
    result = done(page, tmp_path, script, "#silver.visits._delivered_at")
    assert result == [True, "silver.visits._delivered_at"]
