"""``biopsy-ai analyze``."""

from __future__ import annotations

from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biopsy_ai.cli.blocks import find_sheet, say_block, scored
from biopsy_ai.cli.cohort_progress import cohort_progress_on, show_on
from biopsy_ai.cli.collecting import FibersParquet, write_tables
from biopsy_ai.cli.json_lines import Log, LogFormat, json_lines, progress_on
from biopsy_ai.cli.parsing import parse_channels, parse_mpp
from biopsy_ai.cli.reporting import EXIT_FAILED, Debug, StopFile, command, say
from biopsy_ai.cli.workers import MemoryLimit, Resume, Scheduler, Threads, WorkerCount
from biopsy_ai.errors import ConfigError, ModelError, SlideReadError

if TYPE_CHECKING:
    from biopsy_ai.cohort import Outcome
    from biopsy_ai.cohort_sheet import BlockOutcome
    from biopsy_ai.config import AnalysisConfig


def analyze(
    slides: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SLIDE_OR_FOLDER",
            show_default=False,
            help="Slides, folders of slides, or patterns such as 'slides/*_HE.svs'; or one sample "
            "sheet (CSV, see below). May be left out with --fibers. "
            "Example: section.svs more_sections/",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Folder for the results, made if missing. Example: --out results",
        ),
    ] = Path("results"),
    fibers: Annotated[
        Path | None,
        typer.Option(
            metavar="LABELS",
            help="Measure these outlines of fibers instead of finding them: label TIFF or PNG, "
            "QuPath GeoJSON, ImageJ RoiSet.zip, Cellpose _masks.tif. The slide is then optional; "
            "without it nuclei and tissue are not assessable. "
            "Example: --fibers labels.tif --mpp 0.5",
        ),
    ] = None,
    mpp: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Pixel size in µm, one number or y,x; overrides the one in the file. "
            "Example: --mpp 0.5",
        ),
    ] = None,
    stain: Annotated[
        str | None,
        typer.Option(
            metavar="STAIN",
            help="auto (default), he, trichrome, sirius_red, atpase (or atpase:9.4, atpase:4.6, "
            "atpase:4.3), nadh, sdh, cox, if. Decides how tissue and fibers are told from the "
            "background: 'if' as fluorescence, any other name as bright field, with thresholds of "
            "their own for atpase, nadh, sdh and cox, and whether nuclei and collagen can be told. "
            "auto tells fluorescence from bright field by the image, or by a named border channel, "
            "and names the stain by its colors where they are clear. Example: --stain he",
        ),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=N,...",
            help="Fluorescence: the number of each channel, counted from 0 (in a color image 0 is "
            "red, 1 green, 2 blue). 'border' names the one that shows the fiber border, 'nuclei' "
            "the one that shows the nuclei; I, IIA and IIX name those of myosin heavy chains, by "
            "which fibers are typed. Example: --channels border=3,nuclei=0,I=1,IIA=2",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_FOLDER",
            help="Bundled model (see 'biopsy-ai models'), muscle by default, or a model folder. "
            "Example: --model muscle",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE",
            help="auto (default: cuda, else mps, else cpu), cpu, cuda or mps. "
            "Example: --device cpu",
        ),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Mirror images of the section over which the network averages: 1 (default), 2 or "
            "4. With 4 it finds fewer false fibers and draws outlines a little better, misses some "
            "faint borders, and the network takes four times as long. Example: --views 4",
        ),
    ] = None,
    sex: Annotated[
        str | None,
        typer.Option(
            metavar="SEX",
            help="male or female: adds the atrophy and hypertrophy factors, whose limits depend "
            "on it. Example: --sex female",
        ),
    ] = None,
    muscle: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Muscle: decides which share of type I is usual. "
            'Example: --muscle "vastus lateralis"',
        ),
    ] = None,
    side: Annotated[
        str | None,
        typer.Option(
            metavar="SIDE",
            help="left or right; recorded with the result. Example: --side left",
        ),
    ] = None,
    age: Annotated[
        float | None,
        typer.Option(
            metavar="YEARS",
            help="Age of the patient: children have smaller fibers. Example: --age 54",
        ),
    ] = None,
    types: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="CSV file with the columns label and type: take these types instead of reading "
            "them off the stain; fits one slide. Example: --types types.csv",
        ),
    ] = None,
    region: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Analyze a part of the section: GeoJSON with one outline, as QuPath exports an "
            "annotation, in pixels of the image at full resolution. Tissue outside of it does not "
            "count, and fibers that its edge cuts are left out of the statistics; fits one slide. "
            "Example: --region region.geojson",
        ),
    ] = None,
    evidence: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Evidence file by which findings become scores, such as 'biopsy-ai calibrate' "
            "writes, in place of the one that comes with biopsy-ai. "
            "Example: --evidence evidence.yaml",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML file of settings, all of which the README shows; options given here "
            "override it. Example: --config lab.yaml",
        ),
    ] = None,
    resume: Resume = True,
    workers: WorkerCount = None,
    threads: Threads = None,
    scheduler: Scheduler = None,
    memory_limit: MemoryLimit = None,
    fibers_parquet: FibersParquet = True,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Print errors only. Example: biopsy-ai analyze slides/ --quiet",
        ),
    ] = False,
    log: Log = LogFormat.TEXT,
    stop_file: StopFile = None,
    debug: Debug = False,
) -> None:
    """Outline and measure the fibers of sections, and score denervation and myopathy.

    Writes for each slide a folder with fibers.csv, fibers.tif, fibers.geojson, RoiSet.zip,
    overlay.png and summary.json; where they could be told also nuclei.csv, nuclei.tif, tissue.tif,
    fascicles.tif, signs.csv and quality.csv, with an overlay of nuclei, tissue, fascicles and
    condition; and cohort.csv with one row per slide; for several slides also patients.csv and
    fibers.parquet, as biopsy-ai collect does. run.json tells what became of each slide, while the
    run goes on. A slide whose results are there already is skipped. Exit code: 0 all went well, 1
    some slide failed, 2 bad usage.

    A sample sheet has a line for each slide and the columns path, patient, block, stain, mpp,
    muscle, side, age, sex and channels, of which only path is needed. Sections of one block are
    laid on each other: a folder named after the block gets fibers.csv with one row per fiber,
    registration.json and pictures of how they lie.
    """
    events = json_lines(log)
    with command(debug=debug, events=events, stop_file=stop_file):
        from biopsy_ai.cohort import SLIDES_STAGE, analyze_many
        from biopsy_ai.cohort_sheet import analyze_sheet

        settings = _settings(
            config,
            mpp=parse_mpp(mpp),
            stain=stain,
            channels=parse_channels(channels),
            model=model,
            device=device,
            views=views,
            sex=sex,
            muscle=muscle,
            side=side,
            age=age,
            evidence=evidence,
        )
        sheet = find_sheet(slides or [], {"--fibers": fibers, "--types": types, "--region": region})
        paths = [] if sheet else _expand(slides or [])
        if not paths and fibers is None and sheet is None:
            raise typer.BadParameter(
                "give a slide, a folder of slides, or outlines with --fibers",
                param_hint="'SLIDE_OR_FOLDER'",
            )
        if region is not None:
            settings = _with_region(settings, region, paths)
        with cohort_progress_on(events, quiet=quiet, counter=SLIDES_STAGE) as bars:

            def report(outcome: Outcome) -> None:
                bars.close()
                if events is not None:
                    warnings = outcome.summary.get("warnings") or []
                    name = outcome.source.name
                    events.write("slide", name=name, **_event(outcome), warnings=warnings)
                    return
                if outcome.status == "failed":
                    say(f"{outcome.source.name}: failed: {outcome.reason}")
                elif not quiet:
                    typer.echo(_line(outcome))
                    for warning in outcome.summary.get("warnings") or []:
                        text = str(warning).removeprefix(f"{outcome.source}: ")
                        say(f"{outcome.source.name}: warning: {text}")

            def report_block(outcome: BlockOutcome) -> None:
                bars.close()
                if events is not None:
                    events.write("block", name=outcome.name, **_event(outcome))
                    return
                say_block(outcome, quiet=quiet)

            how: dict[str, Any] = {
                "overwrite": not resume,
                "workers": workers,
                "threads": threads,
                "scheduler": scheduler,
                "memory_limit": memory_limit,
                "progress": bars,
                "on_outcome": report,
                "on_standing": show_on(bars),
            }
            blocks: list[BlockOutcome] = []
            try:
                if sheet is None:
                    outcomes = analyze_many(paths, out, settings, fibers=fibers, types=types, **how)
                else:
                    outcomes, blocks = analyze_sheet(
                        sheet, out, settings, on_block=report_block, **how
                    )
            except ModelError as error:
                if "model" not in settings.model_fields_set:
                    raise
                # The model was asked for, so that asking for another one helps.
                raise ConfigError(str(error)) from error
        failed = sum(outcome.status == "failed" for outcome in outcomes)
        whole = True
        if len(outcomes) > max(failed, 1):
            with progress_on(events, quiet=quiet) as bars_of_tables:
                whole = write_tables(out, parquet=fibers_parquet, bars=bars_of_tables, quiet=quiet)
        if failed:
            say(f"{failed} of {len(outcomes)} failed; the reasons stand in {out / 'cohort.csv'}")
        if failed or not whole or any(block.status == "failed" for block in blocks):
            raise typer.Exit(EXIT_FAILED)


def _settings(file: Path | None, *, views: int | None, **given: Any) -> AnalysisConfig:
    from biopsy_ai.config import load_config, make_config

    in_file = {} if file is None else load_config(file).model_dump(exclude_unset=True)
    if views is not None:
        in_file["segmentation"] = {**in_file.get("segmentation", {}), "views": views}
    return make_config(**{**in_file, **{k: v for k, v in given.items() if v is not None}})


def _with_region(settings: AnalysisConfig, file: Path, slides: list[Path]) -> AnalysisConfig:
    """Put a region, which is drawn in pixels, into the settings, which are in µm."""
    from biopsy_ai.region import read_region
    from biopsy_ai.slides import open_slide

    if len(slides) != 1:
        raise typer.BadParameter(
            f"a region is drawn on one slide, and {len(slides)} are given", param_hint="'--region'"
        )
    with open_slide(slides[0], mpp=settings.mpp, channels=settings.channels) as slide:
        return settings.model_copy(update={"region": read_region(file, slide.mpp)})


def _expand(given: list[Path]) -> list[Path]:
    from biopsy_ai.slides.formats import find_other_pictures, find_slides

    paths: list[Path] = []
    problems: list[str] = []
    for path in _without_patterns(given):
        try:
            paths.extend(find_slides(path) if path.is_dir() else [path])
            if path.is_dir() and (others := find_other_pictures(path)):
                names = ", ".join(other.name for other in others[:5])
                say(
                    f"{path}: {len(others)} pictures of formats that cannot be read are left out "
                    f"({names}{', ...' if len(others) > 5 else ''}); save them as TIFF or PNG"
                )
        except (SlideReadError, OSError) as error:
            # Like a missing slide, one bad folder among others is reported when its turn comes.
            paths.append(path)
            problems.append(str(error))
    if given and len(problems) == len(paths):
        raise typer.BadParameter(" ".join(problems), param_hint="'SLIDE_OR_FOLDER'")
    return paths


def _without_patterns(given: list[Path]) -> list[Path]:
    """Put the files in place of patterns, which not every shell does."""
    paths: list[Path] = []
    for path in given:
        files = sorted(glob(str(path))) if has_magic(str(path)) and not path.exists() else []
        paths.extend(map(Path, files) if files else [path])
    return paths


def _event(outcome: Outcome | BlockOutcome) -> dict[str, Any]:
    """What another program needs to know of a section or a block."""
    return {"state": outcome.status, "folder": outcome.folder, "reason": outcome.reason}


def _line(outcome: Outcome) -> str:
    """What a user wants to know first about a section."""
    summary = outcome.summary
    fibers = summary["fibers"]
    said = [f"{fibers['n_fibers']} fibers, {fibers['n_measured']} measured"]
    quantities = fibers["quantities"]
    area, feret = quantities["area_um2"]["median"], quantities["min_feret_um"]["median"]
    if area is not None:
        said.append(f"median area {area:.0f} µm², median min Feret {feret:.1f} µm")
    tissue, nuclei = summary.get("tissue") or {}, summary.get("nuclei") or {}
    for key, name in (("fat_percent", "fat"), ("connective_percent", "connective tissue")):
        if tissue.get(key) is not None:
            said.append(f"{name} {tissue[key]:.1f} %")
    internal = nuclei.get("internal_fiber_percent")
    if internal is not None:
        said.append(f"internal nuclei in {internal:.1f} % of fibers")
    elif not nuclei.get("assessable"):
        said.append("nuclei not assessable")
    share = ((summary.get("types") or {}).get("type_1_share") or {}).get("share")
    if share is not None:
        said.append(f"type I {100 * share:.0f} %")
    grouping = (summary.get("patterns") or {}).get("type_grouping") or {}
    if grouping.get("p") is not None:
        r, p = grouping["assortativity"], grouping["p"]
        said.append(f"assortativity of types {r:+.2f} (p = {p:.2g})")
    said += scored(summary.get("score") or {})
    note = f" ({outcome.reason})" if outcome.status in ("skipped", "reviewed") else ""
    return f"{outcome.source.name}: {', '.join(said)} -> {outcome.folder}{note}"
