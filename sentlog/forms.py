"""The options of a Sent Message Report (B4-02 to B4-10), and of the work list of failures."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from messenger.models import Device, Message
from sentlog.counting import Figures
from sentlog.reports.document import ALL, FAILED, SUMMARY, WORK_LIST


class RadioSelect(forms.RadioSelect):
    """Report Detail; Failed Delivery cannot be chosen while the message runs (B4-08). Its name is
    Django's, because the field template asks for the kind of the widget."""

    failed_available = True

    def create_option(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(*args, **kwargs)
        if option["value"] == FAILED and not self.failed_available:
            option["attrs"]["disabled"] = True
        return option


class ReportForm(forms.Form):
    """Only devices that the message used can be chosen, so that a forged one is refused (B4-04).

    `offered` says which devices the page showed: one that came into use since then (the page was
    opened while the message started) is part of the report, because nobody left it out.
    """

    offered = forms.CharField(required=False, widget=forms.HiddenInput)

    devices = forms.MultipleChoiceField(
        label=_("Include Delivery Devices"), widget=forms.CheckboxSelectMultiple
    )
    detail = forms.ChoiceField(
        label=_("Report Detail"),
        choices=[
            (ALL, _("All: summary, criteria, message and every recipient")),
            (SUMMARY, _("Summary: header and Delivery Summary")),
            (FAILED, _("Failed Delivery: recipients with at least one failed device")),
        ],
        initial=ALL,
        widget=RadioSelect,
    )
    format = forms.ChoiceField(
        label=_("Format"),
        choices=[
            ("pdf", "PDF"),
            ("csv", "CSV"),
            ("docx", "DOCX"),
            ("html", _("Web page")),
        ],
        initial="pdf",
        widget=forms.RadioSelect,
    )
    by_school = forms.BooleanField(
        label=_("Put the rows of each school together"),
        help_text=_("Else all rows are by recipient. A PDF gets a bookmark for each school."),
        required=False,
    )
    no_mark = forms.BooleanField(
        label=_("CSV without the byte order mark"),
        help_text=_("Excel needs the mark to read accents; some import programs refuse it."),
        required=False,
    )

    def __init__(self, message: Message, figures: Figures, data: Any = None) -> None:
        super().__init__(data)
        used = [(device.value, device.label) for device in Device if figures.devices.get(device)]
        devices = self.fields["devices"]
        assert isinstance(devices, forms.MultipleChoiceField)
        devices.choices = used
        devices.initial = [value for value, _label in used]
        devices.required = False
        self.fields["offered"].initial = ",".join(devices.initial)
        self.used: list[str] = devices.initial
        detail = self.fields["detail"]
        assert isinstance(detail, forms.ChoiceField)
        if not message.district_wide and message.schools.count() < 2:
            del self.fields["by_school"]
        # The button of the work list sends the same options.
        self.work_list = bool(data) and "work_list" in data
        self.unfinished = message.status in Message.UNFINISHED
        if self.unfinished:
            assert isinstance(detail.widget, RadioSelect)
            detail.widget.failed_available = False
            detail.help_text = _("Failed Delivery is available when the message has finished.")

    def clean_devices(self) -> list[str]:
        offered = self.data.get("offered")
        shown = self.used if offered is None else offered.split(",")
        chosen = [*self.cleaned_data["devices"], *(name for name in self.used if name not in shown)]
        # Nothing is expanded while a message waits: there is no device to choose yet.
        if self.used and not chosen:
            raise forms.ValidationError(_("Choose at least one device."))
        return [name for name in self.used if name in chosen]

    def clean_detail(self) -> str:
        detail: str = self.cleaned_data["detail"]
        if detail == FAILED and self.unfinished:
            raise forms.ValidationError(
                _("Failed Delivery is not available while the message is waiting or in progress.")
            )
        if self.work_list:
            if self.unfinished:
                raise forms.ValidationError(
                    _("The work list is not available while the message is waiting or in progress.")
                )
            return WORK_LIST
        return detail

    def clean_format(self) -> str:
        return "csv" if self.work_list else str(self.cleaned_data["format"])
