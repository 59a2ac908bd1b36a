"""The words that the outline rules know. Data only: to add a language, add its words to these lists.

Phrases are in lower case and separated by commas. They are compared whole, never looked for inside a longer text, so
that "user-friendly page" names no users. Patterns are made of them where they are used.
"""

# ruff: noqa: RUF003 (documents have typographic quotes and dashes)

from __future__ import annotations

from typing import Final


def _list(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in text.split(","))


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What a heading, a label ("Problem: …") or a column says about a card's fields.
FIELD_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "problem": _list(
        "problem, problems, problem statement, problem description, problem definition, opportunity, opportunities,"
        "challenge, challenges, pain, pains, pain point, pain points, issue, issues, difficulty, difficulties,"
        "frustrations, complaints, what goes wrong, what hurts, need for change"
    ),
    "target_users": _list(
        "user, users, target user, target users, target audience, audience, user group, user groups, target group,"
        "target groups, who, who benefits, for whom, who is affected, affected users, stakeholder, stakeholders, actor,"
        "actors, primary actor, primary actors, persona, personas, beneficiaries, end user, end users, used by"
    ),
    "current_state": _list(
        "current state, as-is, as is, as-is state, as-is process, current situation, current process, current practice,"
        "current solution, current workaround, existing process, existing situation, today, situation today,"
        "process today, how it works today, how it works now, how we work today, status quo, present situation"
    ),
    "desired_outcomes": _list(
        "outcome, outcomes, goal, goals, objective, objectives, aim, aims, benefit, benefits, desired outcome, so that"
    ),
    # Desired outcomes of the card they belong to; alone they are no card.
    "measures": _list(
        "acceptance criteria, acceptance criterion, acceptance, definition of done, success criteria, result, results,"
        "success criterion, success metrics, success measures, measures of success, kpi, kpis, metrics, to-be, to be,"
        "target state, desired state, future state, target situation, what success looks like, definition of success"
    ),
    "constraints": _list(
        "constraint, constraints, limitation, limitations, restriction, restrictions, limits, boundary conditions,"
        "conditions"
    ),
    "systems": _list(
        "system, systems, it systems, systems involved, systems affected, systems in use, systems touched,"
        "system landscape, application, applications, interface, interfaces, integration, integrations, platform,"
        "platforms, tools"
    ),
    "priority": _list("priority, prio, urgency, moscow, moscow priority, importance"),
    "impact": _list(
        "impact, business impact, business value, value, value proposition, roi, effect, effects, consequence,"
        "consequences, cost of doing nothing, cost of inaction"
    ),
}

# Below a heading of the first list every list item is a card; the second names things that have a heading each.
REQUIREMENT_GROUPS: Final = _list(
    "requirement, requirements, user stories, stories, need, needs, wish, wishes, wish list, wishlist, demands,"
    "expectations, business rules, capabilities, quality attributes, change requests, enhancements, improvements,"
    "proposed improvements, in scope, what we need, what users need, backlog, product backlog, requests,"
    "feature requests"
)
USE_CASE_GROUPS: Final = _list("use cases, features, feature list, epics")

# A longer name that ends with one of these means the same: "integration requirements", "claims handler pain points".
TELLING_ENDINGS: Final = _list(
    "requirements, user stories, use cases, features, needs, wishes, pain points, goals, objectives, outcomes,"
    "benefits, constraints, success criteria, acceptance criteria"
)

# What opens a single card: "Use case 3: …", "Feature – …".
CARD_OPENERS: Final = _list(
    "use case, user story, story, feature, requirement, functional requirement, business requirement,"
    "non-functional requirement, nonfunctional requirement, user requirement, system requirement, epic, user need,"
    "business need, need, capability, change request, feature request"
)
# What opens one only if enough fields follow.
TITLE_LABELS: Final = _list("title, name, summary, short name")

IGNORED_PHRASES: Final = _list(
    "glossary, references, reference documents, related documents, bibliography, sources, out of scope, not in scope,"
    "exclusions, excluded, non-goals, non goals, table of contents, contents, toc, index, revision history,"
    "version history, document history, change history, change log, changelog, versions, document control,"
    "distribution, distribution list, abbreviations, acronyms, definitions, terms, terminology, legend, sign-off,"
    "signoff, approval, approvals, attendees, participants, present, apologies, agenda, action items, actions,"
    "next steps, next meeting, to do, to-do, todo, open questions, open points, open issues, assumptions, contact,"
    "contacts, won't have, won't haves, won't have this time, won't, wont have, will not have, parking lot, rejected,"
    "acknowledgements, appendix, appendices, annex"
)
IGNORED_OPENERS: Final = _list("appendix, annex")

# Headings of the frame around the requirements: never one themselves.
NEUTRAL_HEADINGS: Final = frozenset(
    _list(
        "introduction, overview, background, context, purpose, scope, summary, executive summary, management summary,"
        "about this document, document purpose, method, methodology, approach, conventions, general, history,"
        "conclusion, timeline, schedule, budget, roadmap, milestones, organisation, organization, team,"
        "overall description"
    )
)

# Words that may stand before or behind a known phrase without changing what it means.
LEADING_WORDS: Final = _set(
    "the our my their your main key top biggest greatest most important primary secondary major minor business project "
    "overall expected desired specific strategic identified known observed reported technical general high-level "
    "further additional other current existing initial proposed affected involved related following these common "
    "typical recurring daily user users' customer customers' planned new measurable"
)
FOLLOWING_WORDS: Final = _set(
    "of for in on at from with we raised heard collected mentioned reported are is include includes were so as"
)

_HIGH = _list(
    "very high, highest, high, top, critical, urgent, blocker, blocking, must, must have, must-have, must haves,"
    "must-haves, essential, mandatory, showstopper, p0, p1, prio 1, priority 1, 1, h"
)
_MEDIUM = _list(
    "medium, moderate, normal, mid, middle, should, should have, should-have, should haves, should-haves, important,"
    "p2, prio 2, priority 2, 2"
)
_LOW = _list(
    "low, very low, lowest, minor, could, could have, could-have, could haves, could-haves, nice to have,"
    "nice-to-have, nice to haves, nice-to-haves, optional, p3, p4, p5, prio 3, priority 3, 3, 4, 5, l"
)
PRIORITY_WORDS: Final[dict[str, str]] = {
    **dict.fromkeys(_HIGH, "high"),
    **dict.fromkeys(_MEDIUM, "medium"),
    **dict.fromkeys(_LOW, "low"),
}
# In a MoSCoW column only: elsewhere a bare letter may mean another thing ("M" for medium).
MOSCOW_LETTERS: Final[dict[str, str]] = {"m": "high", "s": "medium", "c": "low"}
NOT_WANTED: Final = frozenset(
    _list("w, won't, wont, won't have, wont have, will not have, would, out of scope, rejected, dropped, withdrawn")
)

TABLE_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "id": _list("id, no, no., nr, nr., #, key, ref, ref., reference, number, issue key, code"),
    # These alone make a table a list of requirements …
    "requirement": _list(
        "requirement, requirements, requirement text, requirement description, requirement statement,"
        "requirement title, requirement name, user story, user stories, story, use case, use cases, use case name,"
        "use case title, feature, features, feature name, need, needs, user need, business need, epic, capability,"
        "wish, business requirement, functional requirement, change request, request,"
        "planned change, proposed change, requested change, change needed"
    ),
    # … these only beside a column of PROVING_COLUMNS.
    "title": _list("title, name, summary, short name, short title, item, topic, story title, headline"),
    "description": _list("description, details, detail, text, statement, short description"),
    "worth": _list("value"),  # an impact, but "Name | Value" is a list of settings
    "term": _list("term, terms, abbreviation, acronym, definition, meaning"),
    "status": _list("status, state, decision"),
    "want": _list("i want, i want to, want"),
    "target_users": _list("role, roles, user role, as a, as a/an, requested by, requester"),
    "systems": _list("system(s), application(s), systems/applications, system/application"),
    "problem": _list("pain point(s), problem(s)"),
}
PROVING_COLUMNS: Final = _set("problem current_state desired_outcomes constraints priority impact want")

# Items of a list that say nothing.
FILLERS: Final = frozenset(_list("none, n/a, na, tbd, tbc, to be defined, to be done, nothing, -, …, ..., ?"))

REQUIREMENT_IDS: Final = _list(
    "REQ, RQ, FR, NFR, FREQ, US, UC, BR, BRQ, UR, SR, SYS, TR, IR, DR, QR, CR, UN, BN, STORY, EPIC, FEAT, FUN, NF, SEC,"
    "PERF"
)

# Grammatical subjects of "will" and "be able to" that are things to build, not people.
BUILT_THINGS: Final = _set(
    "system systems application app portal solution software service platform tool interface website site page screen "
    "form dashboard database api module component product function feature report workflow engine client server "
    "gateway bot assistant"
)
PRONOUNS: Final = _set(
    "i we you he she they it this that these those there who which what somebody someone everybody everyone anybody "
    "nobody one people each all both either neither none"
)
QUESTION_WORDS: Final = _set("what why how when where who which whether")
# "As a result, we need …" is no user story.
NO_ROLES: Final = _set(
    "result consequence rule matter first next last final whole minimum reminder bonus precaution start compromise "
    "workaround side follow-up followup general consequently conclusion summary usual always before ever far soon long "
    "well such possible"
)
# "As a company, we need …" is none either.
NO_ROLES_ALONE: Final = _set("team group company department business organisation organization whole")
# "I want to thank …" is no wish.
SPEECH_VERBS: Final = _list(
    "talk, thank, say, ask, know, stress, mention, point, add, discuss, come, meet, be honest, go, emphasise,"
    "emphasize, repeat, tell, decide, clarify, check, agree, wait, think, admit"
)
# What happens now is no requirement, whatever verb tells it.
NOW_WORDS: Final = _list(
    "today, currently, at the moment, at present, nowadays, these days, so far, until now, right now"
)
# The same beside "have to" and "need to", which people also use to complain.
HABIT_WORDS: Final = _list(
    "now, still, every time, each time, manually, by hand, twice, again, often, usually, sometimes, always, constantly,"
    "had"
)

# At the start of a sentence they link it to another, so that a title does without.
CONJUNCTIONS: Final = _list("and, but, so, also, then, however, therefore, moreover, furthermore, besides, finally")

ABBREVIATIONS: Final = _set(
    "e.g i.e etc approx ca cf vs incl excl resp dr mr mrs ms prof st inc ltd dept est max min fig sec vol pp eg ie z.b"
)
NUMBERED_ABBREVIATIONS: Final = _set("no nr art par p sect chap ch ver v rel")
