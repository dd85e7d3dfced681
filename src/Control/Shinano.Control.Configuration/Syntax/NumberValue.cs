namespace Shinano.Control.Configuration.Syntax;

internal sealed record NumberValue(int Offset, long Number) : ConfigValue(Offset)
{
    public override string Kind => "a number";
}
