using Iced.Intel;

namespace Shinano.Cpu.HostCode;

/// <summary>
/// Makes <see cref="HostStub"/>s from decoded 64-bit instructions. Equal instructions (whatever their addresses) share a stub. Thread-safe.
/// </summary>
/// <remarks>
/// Bounded: after <see cref="StubsKept"/> different instructions it forgets them all and begins anew. Stubs already handed out stay valid for as long as
/// somebody refers to them; so the caller's own cache bounds the rest.
/// </remarks>
public sealed unsafe class HostInstructionCompiler
{
    /// <summary>Different instructions remembered; far more than any program has, so that only a hostile one gets here.</summary>
    public const int StubsKept = 16384;

    private const int ArenaLength = 256 * 1024;

    private readonly Lock _lock = new();
    private readonly Dictionary<StubKey, HostStub?> _stubs = [];
    private readonly CpuFeatures _host = HostFeatures.Detect();
    private StubArena? _arena;

    /// <summary>Makes or finds the stub of an instruction.</summary>
    /// <returns>False when the instruction is not one for host code, or the host lacks it.</returns>
    public bool TryCompile(in Instruction instruction, out HostStub stub)
    {
        StubKey key = StubKey.Of(instruction);
        lock (_lock)
        {
            if (!_stubs.TryGetValue(key, out HostStub? found))
            {
                if (_stubs.Count >= StubsKept)
                {
                    _stubs.Clear();
                    _arena = null;
                }

                found = Compile(instruction);
                _stubs.Add(key, found);
            }

            stub = found!;
            return found is not null;
        }
    }

    private HostStub? Compile(in Instruction instruction)
    {
        if (!InstructionPolicy.TryClassify(instruction, out InstructionPolicy policy) || (policy.Feature & ~_host) != 0)
        {
            return null;
        }

        delegate*<CpuState*, byte*, ulong, HostStatus> managed = Managed(instruction.Code);
        if (managed != null)
        {
            return new HostStub(policy, managed);
        }

        if (!RegisterPlan.TryCreate(instruction, out RegisterPlan plan))
        {
            return null;
        }

        byte[] code = StubEmitter.Emit(policy, plan);
        _arena ??= new StubArena(ArenaLength);
        void* entry = _arena.Add(code);
        if (entry == null)
        {
            _arena = new StubArena(ArenaLength);
            entry = _arena.Add(code);
        }

        return new HostStub(policy, _arena, entry);
    }

    private static delegate*<CpuState*, byte*, ulong, HostStatus> Managed(Code code) => code switch
    {
        Code.Wait => &X87Environment.Wait,
        Code.Fninit => &X87Environment.Initialize,
        Code.Fnclex => &X87Environment.ClearExceptions,
        Code.Fneni or Code.Fndisi or Code.Fnsetpm => &X87Environment.Nothing,
        Code.Fnstcw_m2byte => &X87Environment.StoreControl,
        Code.Fldcw_m2byte => &X87Environment.LoadControl,
        Code.Fnstsw_m2byte => &X87Environment.StoreStatus,
        Code.Fnstsw_AX => &X87Environment.StoreStatusToAx,
        Code.Fnstenv_m28byte => &X87Environment.StoreEnvironment32,
        Code.Fnstenv_m14byte => &X87Environment.StoreEnvironment16,
        Code.Fldenv_m28byte => &X87Environment.LoadEnvironment32,
        Code.Fldenv_m14byte => &X87Environment.LoadEnvironment16,
        Code.Fnsave_m108byte => &X87Environment.Save32,
        Code.Fnsave_m94byte => &X87Environment.Save16,
        Code.Frstor_m108byte => &X87Environment.Restore32,
        Code.Frstor_m94byte => &X87Environment.Restore16,
        _ => null,
    };
}
