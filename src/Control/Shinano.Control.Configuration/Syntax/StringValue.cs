namespace Shinano.Control.Configuration.Syntax;

internal sealed record StringValue(int Offset, string Text) : ConfigValue(Offset)
{
    public override string Kind => "a string";
}
