namespace Shinano.Cpu.Translator;

/// <summary>Conditions of Jcc as encoded. Source: SDM 2B, appendix B.1.4.7.</summary>
internal static class HostCondition
{
    public const int Below = 2;
    public const int AboveOrEqual = 3;
    public const int Equal = 4;
    public const int NotEqual = 5;
    public const int BelowOrEqual = 6;
    public const int Above = 7;
}
