from __future__ import annotations

import datetime

import pytest

from edge_llama.chat.messages import Message, Role, TemplateOptions
from edge_llama.chat.template.calendar import FIXED, Calendar, written
from edge_llama.chat.template.llama3_template import Llama3Template
from edge_llama.chat.template.template import template_for
from edge_llama.errors import SettingsError
from edge_llama.settings.prompts import PromptSettings
from tests.fakes import model_info

TODAY = datetime.date(2027, 2, 3)


@pytest.mark.parametrize(
    ("date", "asked", "day"),
    [
        ("auto", True, TODAY),
        ("auto", False, FIXED),
        ("today", False, TODAY),
        ("fixed", True, FIXED),
        ("2026-12-01", False, datetime.date(2026, 12, 1)),
    ],
)
def test_the_day(date: str, asked: bool, day: datetime.date) -> None:
    assert Calendar(date, lambda: TODAY).day(asked=asked) == day


@pytest.mark.parametrize("date", ["soon", "2026-13-01", "", "01.12.2026"])
def test_what_is_no_date_is_refused(date: str) -> None:
    with pytest.raises(SettingsError, match="`date`"):
        PromptSettings(date=date)


@pytest.mark.parametrize(
    ("asks", "date", "options", "told"),
    [
        (False, "auto", TemplateOptions(), "26 Jul 2024"),
        (True, "auto", TemplateOptions(), "03 Feb 2027"),
        (False, "today", TemplateOptions(), "03 Feb 2027"),
        (True, "today", TemplateOptions(date="1 May 2000"), "1 May 2000"),
    ],
)
def test_what_llama_is_told(asks: bool, date: str, options: TemplateOptions, told: str) -> None:
    template = Llama3Template(Calendar(date, lambda: TODAY), asks_date=asks)
    prompt = template.render([Message(Role.USER, "Hi")], options=options)
    assert f"Today Date: {told}\n" in "".join(map(str, prompt)).replace("\\n", "\n")


def test_the_template_tells_whether_it_asks() -> None:
    marks = "<|start_header_id|> <|eot_id|> Cutting Knowledge Date: Today Date: "
    for source, asks in ((marks, False), (f"{marks} strftime_now", True), ("", False)):
        info = model_info(chat_template=source)
        template = template_for(info, PromptSettings(date="auto"))
        assert isinstance(template, Llama3Template)
        assert template._asks_date is asks
    assert written(FIXED) == "26 Jul 2024"
