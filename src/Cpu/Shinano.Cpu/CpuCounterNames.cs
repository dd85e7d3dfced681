namespace Shinano.Cpu;

/// <summary>
/// Names of the counters that more than one engine or reader knows. They are part of what tools print and of the control channel's messages: a name keeps its
/// meaning for ever, and an engine leaves out what it does not have.
/// </summary>
public static class CpuCounterNames
{
    // Of a vCPU.

    /// <summary>Guest instructions completed in translated code.</summary>
    public const string TranslatedInstructions = "instructions.translated";

    /// <summary>Guest instructions completed by an interpreter.</summary>
    public const string InterpretedInstructions = "instructions.interpreted";

    /// <summary>Times that translated code was entered from the dispatcher.</summary>
    public const string TranslatedEntries = "translated.entries";

    /// <summary>Indirect jumps, calls and returns, and entries, whose target was translated but not in the vCPU's jump cache.</summary>
    public const string JumpCacheMisses = "jump-cache.misses";

    /// <summary>Look-aside misses of translated code (fills).</summary>
    public const string LookAsideFills = "look-aside.fills";

    /// <summary>Page walks, for data and for fetches.</summary>
    public const string PageWalks = "look-aside.walks";

    /// <summary>Writes to pages that held decoded or translated code when they were written.</summary>
    public const string CodeWrites = "code-writes";

    /// <summary>PAUSE instructions: what a guest's spinning costs.</summary>
    public const string Pauses = "pauses";

    // Of an engine.

    /// <summary>Blocks decoded for interpretation.</summary>
    public const string DecodedBlocks = "decoded.blocks";

    /// <summary>Instructions in them.</summary>
    public const string DecodedInstructions = "decoded.instructions";

    /// <summary>Decoded blocks dropped because their bytes were written.</summary>
    public const string DecodedDroppedByWrites = "decoded.dropped-by-writes";

    /// <summary>Decoded blocks dropped because a probe in them was set or cleared.</summary>
    public const string DecodedDroppedByProbes = "decoded.dropped-by-probes";

    /// <summary>Times that all decoded code was dropped for want of room.</summary>
    public const string DecodedFlushes = "decoded.flushes";

    /// <summary>Bytes that decoded code holds. A level.</summary>
    public const string DecodedBytes = "decoded.bytes";

    /// <summary>Bytes of decoded code at which it is flushed. A level.</summary>
    public const string DecodedCapacity = "decoded.capacity";

    /// <summary>Blocks translated.</summary>
    public const string TranslatedBlocks = "translated.blocks";

    /// <summary>Guest instructions in them.</summary>
    public const string TranslatedBlockInstructions = "translated.instructions";

    /// <summary>Translated blocks dropped because bytes they depend on were written.</summary>
    public const string TranslatedDroppedByWrites = "translated.dropped-by-writes";

    /// <summary>Translated blocks dropped because a probe in them was set or cleared.</summary>
    public const string TranslatedDroppedByProbes = "translated.dropped-by-probes";

    /// <summary>Direct jumps that were made to lead to their target's translation.</summary>
    public const string Links = "translated.links";

    /// <summary>Times that all translations were dropped for want of room.</summary>
    public const string TranslatedFlushes = "translated.flushes";

    /// <summary>Bytes of the code cache that generated code holds. A level.</summary>
    public const string CodeCacheBytes = "code-cache.bytes";

    /// <summary>Bytes that the code cache has room for. A level.</summary>
    public const string CodeCacheCapacity = "code-cache.capacity";

    /// <summary>Probes that are set. A level.</summary>
    public const string Probes = "probes";
}
