# FreeKD where no labels teach the prompts: they are to keep what the teacher's head predicts of its plain features,
# classes alone.
_base_ = './freekd.py'

method = dict(
    connectors=dict(prompted=dict(type='PromptedHead')),
    terms=dict(
        prompted=dict(of='connectors.prompted[0]', to='teacher0.logits', loss=dict(_delete_=True, tau=1.0)),
    ),
)
