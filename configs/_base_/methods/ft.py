# FT: a first stage trains the paraphraser, an autoencoder of the teacher's last features. Then a translator on the
# student's is to find the same factors. The benchmark's weight belongs to its own form of the loss.
connectors = dict(factor=dict(type='ParaphraserEncoder', source='teacher0.fm'))
terms = dict(
    task=dict(of='student'),
    paraphrase=dict(
        of='connectors.factor',
        to='teacher0.fm',
        connector=dict(type='ParaphraserDecoder'),
        loss=dict(type='torch.nn.MSELoss'),
    ),
    ft=dict(
        of='student.fm',
        to='connectors.factor',
        connector=dict(type='Translator'),
        loss=dict(type='FTLoss', form='attention'),
        weight=200.0,
    ),
)
