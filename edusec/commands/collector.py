"""`edusec collector`: the collector's own words, handed over to it."""

from edusec.declare.command import group, hand_over
from edusec.lang import t

app = group(t("采集中心：初始化、运行", "The collector: set it up, run it"))

hand_over(
    app,
    "collector",
    "init",
    t("创建数据目录、证书和第一个管理员", "make a data folder, certificates and the first administrator"),
)
hand_over(app, "collector", "run", t("运行采集中心", "run the collector"))
hand_over(app, "collector", "person", t("给人员发放令牌：角色和所辖单位", "give a person a token: role and unit"))
