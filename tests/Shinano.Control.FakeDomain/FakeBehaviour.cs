namespace Shinano.Control.FakeDomain;

/// <summary>
/// Words of the form <c>fake.WORD</c> or <c>fake.WORD=VALUE</c> in a domain's command line: <c>exit-early</c>, <c>fail-early</c>, <c>build-fail=CODE</c>,
/// <c>die-in-build</c>, <c>slow-build</c> (never done), <c>shutdown=REASON</c> (at unpause), <c>say=TEXT</c> (at unpause), <c>deaf</c> (Destroy is never answered),
/// <c>later-version</c> (of the counters' message), <c>no-suspend</c>, <c>no-save</c>, <c>no-snapshot=DISK</c>, <c>hang-after-snapshot=DISK</c>.
/// </summary>
internal sealed class FakeBehaviour(string commandLine)
{
    private const string Prefix = "fake.";

    private readonly string[] _words = commandLine.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    public bool Has(string word) => _words.Any(w => w == Prefix + word || w.StartsWith($"{Prefix}{word}=", StringComparison.Ordinal));

    public string? Value(string word) =>
        _words.Where(w => w.StartsWith($"{Prefix}{word}=", StringComparison.Ordinal)).Select(w => w[(Prefix.Length + word.Length + 1)..]).LastOrDefault();
}
