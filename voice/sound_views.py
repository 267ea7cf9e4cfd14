"""The pages of what a call sounds like: Prompt Preferences, Caller ID Preferences, TTS Dictionary.

They parse, call a verb and render. Whoever may see settings sees them; whoever may edit settings
changes them. Without voice they do not exist (A1-01).
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from messenger import rights
from messenger.composition import LANGUAGES
from messenger.models import ContactReason, District, User
from messenger.views.gate import needs
from voice import account, caller_ids, dictionary, script
from voice.hearing import LONGEST_SAMPLE
from voice.models import VoiceSettings
from voice.sound_forms import (
    ChoiceForm,
    DefaultForm,
    NumberForm,
    PromptPlace,
    PromptsForm,
    WordForm,
    national,
)
from voice.sound_models import CallerChoice, CallerNumber, Prompt, SpokenWord
from voice.views import LEVELS


def sound_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A settings page of the phone: seen with one right, changed with another, gone without
    voice."""

    @require_http_methods(["GET", "HEAD", "POST"])
    @needs(rights.SETTINGS_VIEW)
    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not District.current().voice_enabled:
            raise Http404
        if request.method == "POST" and not rights.may(request.user, rights.SETTINGS_EDIT):
            raise PermissionDenied
        return view(request)

    return guarded


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


# --------------------------------------------------------------------------------------- prompts


@sound_page
def prompts(request: HttpRequest) -> HttpResponse:
    """Greeting, confirmation and closing of a language, for the district or a school."""
    place = PromptPlace({"language": LANGUAGES[0][0], **request.GET.dict()})
    if not place.is_valid():
        raise Http404
    language, school = place.cleaned_data["language"], place.cleaned_data["school"]
    where = {"language": language, **({"school": str(school.uuid)} if school else {})}
    form = PromptsForm(language=language, school=school)
    if request.method == "POST":
        form = PromptsForm(request.POST, request.FILES, language=language, school=school)
        if form.is_valid():
            form.save(_user(request))
            messages.success(request, _("The prompts are saved. They hold for new messages."))
            return redirect(f"{reverse('prompts')}?{urlencode(where)}")
    if not rights.may(request.user, rights.SETTINGS_EDIT):
        for field in form.fields.values():
            field.disabled = True
    languages = dict(LANGUAGES)
    others = Prompt.objects.values_list("language", "school__uuid", "school__name").distinct()
    entries = dictionary.read_dictionary()
    said = script.read_prompts(language, [school.pk] if school else [], entries)[""]
    return render(
        request,
        "voice/prompts.html",
        {
            "form": form,
            "place": place,
            "school": school,
            "language_name": languages[language],
            "said": [(kind.label, said.get(kind)) for kind in Prompt.Kind],
            "call_url": f"{reverse('prompts_call')}?{urlencode(where)}",
            "elsewhere": [
                (
                    languages.get(of_language, of_language),
                    name,
                    urlencode({"language": of_language, **({"school": uuid} if uuid else {})}),
                )
                for of_language, uuid, name in others.order_by(
                    "language", F("school__name").asc(nulls_first=True)
                )
            ],
        },
        status=422 if form.errors else 200,
    )


# ------------------------------------------------------------------------------------ caller IDs


@sound_page
def caller_ids_page(request: HttpRequest) -> HttpResponse:
    """The list of numbers, the default, and who calls from which."""
    wrong: dict[str, Any] = {}
    if request.method == "POST":
        action = CALLER_ACTIONS.get(request.POST.get("do", ""))
        if action is None:
            raise Http404
        wrong = action(request)
        if not wrong:
            return redirect("caller_ids")
    settings = VoiceSettings.current()
    numbers = CallerNumber.objects.all()
    default = settings.default_caller_id
    reasons = dict(ContactReason.choices)
    choices = CallerChoice.objects.select_related("school", "number").order_by(
        F("school__name").asc(nulls_first=True), "reason"
    )
    return render(
        request,
        "voice/caller_ids.html",
        {
            "numbers": [
                (row, national(row.number), caller_ids.is_toll_free(row.number)) for row in numbers
            ],
            "default": default,
            "unlisted_default": national(default)
            if default and not numbers.filter(number=default).exists()
            else "",
            "choices": [
                (row, reasons.get(row.reason, ""), national(row.number.number)) for row in choices
            ],
            "number_form": NumberForm(auto_id="id_add_%s"),
            "default_form": DefaultForm(),
            "choice_form": ChoiceForm(auto_id="id_choice_%s"),
            "form": next(iter(wrong.values()), None),
            **wrong,
        },
        status=422 if wrong else 200,
    )


def _add_number(request: HttpRequest) -> dict[str, Any]:
    form = NumberForm(request.POST, auto_id="id_add_%s")
    if not form.is_valid():
        return {"number_form": form}
    row = CallerNumber.objects.create(**form.cleaned_data, added_by=_user(request))
    _tell(request, row, caller_ids.verify(row))
    return {}


def _verify_number(request: HttpRequest) -> dict[str, Any]:
    row = _listed(request)
    _tell(request, row, caller_ids.verify(row))
    return {}


def _tell(request: HttpRequest, row: CallerNumber, result: account.CheckResult) -> None:
    LEVELS[result.kind](request, f"{national(row.number)}: {result.words}")


def _remove_number(request: HttpRequest) -> dict[str, Any]:
    row = _listed(request)
    if row.number == VoiceSettings.current().default_caller_id:
        messages.error(request, _("The district calls from this number. Choose another first."))
        return {}
    row.delete()
    messages.success(request, _("The number and what was chosen for it are removed."))
    return {}


def _listed(request: HttpRequest) -> CallerNumber:
    return get_object_or_404(CallerNumber, number=request.POST.get("number", ""))


def _set_default(request: HttpRequest) -> dict[str, Any]:
    form = DefaultForm(request.POST)
    if not form.is_valid():
        return {"default_form": form}
    chosen = form.cleaned_data["default"]
    VoiceSettings.objects.filter(pk=1).update(default_caller_id=chosen.number if chosen else "")
    messages.success(request, _("The district's caller ID is saved. It holds for new messages."))
    return {}


def _add_choice(request: HttpRequest) -> dict[str, Any]:
    form = ChoiceForm(request.POST, auto_id="id_choice_%s")
    if not form.is_valid():
        return {"choice_form": form}
    form.save()
    messages.success(request, _("Saved. It holds for new messages."))
    return {}


def _remove_choice(request: HttpRequest) -> dict[str, Any]:
    given = request.POST.get("choice", "")
    row = get_object_or_404(CallerChoice, pk=int(given) if given.isdecimal() else 0)
    row.delete()
    messages.success(request, _("Removed. It holds for new messages."))
    return {}


CALLER_ACTIONS: dict[str, Callable[[HttpRequest], dict[str, Any]]] = {
    "add": _add_number,
    "verify": _verify_number,
    "remove": _remove_number,
    "default": _set_default,
    "choose": _add_choice,
    "forget": _remove_choice,
}


# ------------------------------------------------------------------------------------ dictionary


@sound_page
def dictionary_page(request: HttpRequest) -> HttpResponse:
    """The words that a voice says wrong; a sentence can be tried out (`?words=`)."""
    form = WordForm()
    if request.method == "POST":
        if request.POST.get("do") == "remove":
            given = request.POST.get("word", "")
            get_object_or_404(SpokenWord, word__iexact=given).delete()
            messages.success(request, _("The word is removed."))
            return redirect("dictionary")
        form = WordForm(request.POST)
        if form.is_valid():
            form.save(_user(request))
            messages.success(request, _("The word is saved. It holds for new messages."))
            return redirect("dictionary")
    words = request.GET.get("words", "")[:LONGEST_SAMPLE].strip()
    said = dictionary.apply(dictionary.read_dictionary(), words)
    return render(
        request,
        "voice/dictionary.html",
        {
            "form": form,
            "entries": SpokenWord.objects.select_related("changed_by"),
            "sample": words,
            "said": said,
            "sample_url": f"{reverse('dictionary_sample')}?{urlencode({'words': words})}",
            "longest_sample": LONGEST_SAMPLE,
        },
        status=422 if form.errors else 200,
    )
