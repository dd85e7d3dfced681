namespace Shinano.Control.Configuration.Syntax;

internal sealed record ListValue(int Offset, IReadOnlyList<ConfigValue> Items) : ConfigValue(Offset)
{
    public override string Kind => "a list";
}
