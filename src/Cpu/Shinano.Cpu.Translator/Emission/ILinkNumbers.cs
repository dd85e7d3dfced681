namespace Shinano.Cpu.Translator;

/// <summary>Gives the numbers that emitted code carries.</summary>
internal interface ILinkNumbers
{
    /// <summary>A number for a new link.</summary>
    int NextLink();

    /// <summary>The number of the mapping of a linear address's page as it is now; false when it is not mapped for fetching, or numbers ran out.</summary>
    bool TryGetMapping(ulong linear, int context, out int mapping);
}
