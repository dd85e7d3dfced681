namespace Shinano.Control.Configuration;

/// <summary>Collects diagnostics; hostile text cannot make the list long.</summary>
internal sealed class DiagnosticList(bool strict)
{
    private const int Maximum = 200;

    private readonly List<ConfigurationDiagnostic> _items = [];

    public IReadOnlyList<ConfigurationDiagnostic> Items => _items;

    public bool HasErrors { get; private set; }

    public void Error(string source, SourcePosition? position, string? key, string message) =>
        Add(DiagnosticSeverity.Error, source, position, key, message);

    public void Warning(string source, SourcePosition? position, string? key, string message) =>
        Add(strict ? DiagnosticSeverity.Error : DiagnosticSeverity.Warning, source, position, key, message);

    private void Add(DiagnosticSeverity severity, string source, SourcePosition? position, string? key, string message)
    {
        HasErrors |= severity == DiagnosticSeverity.Error;
        if (_items.Count < Maximum)
        {
            _items.Add(new ConfigurationDiagnostic(severity, source, position, key, message));
        }
        else if (_items.Count == Maximum)
        {
            _items.Add(new ConfigurationDiagnostic(severity, source, null, null, "more messages were left out"));
        }
    }
}
