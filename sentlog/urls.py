"""The addresses of the log's pages."""

from django.urls import URLPattern, URLResolver, path

from sentlog.views import (
    canceling,
    deliveries,
    detail,
    finding,
    list_file,
    lost,
    received,
    reports,
    retention,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("log/", finding.log, name="log"),
    path("log/list.<str:format>", list_file.log_file, name="log_file"),
    path("log/cancel/", canceling.log_cancel_several, name="log_cancel_several"),
    path("log/canceling/", canceling.log_canceling, name="log_canceling"),
    path("log/reports/", reports.reports, name="reports"),
    path("people/<uuid:uuid>/messages/", received.person_messages, name="person_messages"),
    path("log/reports/<uuid:uuid>/", reports.report, name="report"),
    path("log/reports/<uuid:uuid>/cancel/", reports.report_cancel, name="report_cancel"),
    path("log/reports/<uuid:uuid>/file/", reports.report_file, name="report_file"),
    path("settings/retention/", retention.retention_page, name="retention"),
    path("settings/retention/hold/", retention.hold_place, name="hold_place"),
    path("settings/retention/hold/<int:number>/lift/", retention.hold_lift, name="hold_lift"),
    path("log/<uuid:uuid>/", detail.log_detail, name="log_detail"),
    path("log/<uuid:uuid>/summary/", detail.log_summary, name="log_summary"),
    path("log/<uuid:uuid>/cancel/", canceling.log_cancel, name="log_cancel"),
    path("log/<uuid:uuid>/refresh/", detail.log_refresh, name="log_refresh"),
    path("log/<uuid:uuid>/lost/", lost.log_lost, name="log_lost"),
    path("log/<uuid:uuid>/report/", reports.report_order, name="report_order"),
    path("log/<uuid:uuid>/deliveries/", deliveries.deliveries, name="deliveries"),
    path("log/<uuid:uuid>/deliveries/<int:number>/", deliveries.delivery, name="delivery"),
]
