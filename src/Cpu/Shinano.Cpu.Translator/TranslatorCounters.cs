namespace Shinano.Cpu.Translator;

/// <summary>Counters of an engine since its creation.</summary>
/// <param name="Blocks">Blocks translated.</param>
/// <param name="Instructions">Guest instructions in them.</param>
/// <param name="BlocksDropped">Blocks dropped because their bytes were written.</param>
/// <param name="Flushes">Times that all translations were dropped for want of room.</param>
/// <param name="CodeBytes">Bytes of generated code held now.</param>
public readonly record struct TranslatorCounters(long Blocks, long Instructions, long BlocksDropped, long Flushes, long CodeBytes);
