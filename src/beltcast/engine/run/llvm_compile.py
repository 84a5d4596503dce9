"""From the text of a module to machine code, made now or kept from another process."""

from __future__ import annotations

import llvmlite
import llvmlite.binding as llvm

from beltcast.engine.cache import Cache, engine_fingerprint, key_of


def load_code(
    text: str, cache: Cache | None = None, *, quick: bool = False
) -> llvm.ExecutionEngine:
    """Return the machine code of a module, made now or kept from another process.

    Parameters
    ----------
    text : str
    cache : Cache, optional
    quick : bool
        Leave out what makes code fast, if it is not kept already: what is made in a third of the
        time computes the same bits.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=0 if quick else 2,
        codemodel="jitdefault",
        jit=True,
    )
    # Optimised code that an earlier run has kept serves a quick request too.
    kinds = (False, True) if quick else (False,)
    keys = [key for kind in kinds if (key := code_key(text, quick=kind))] if cache else []
    code = next((kept for key in keys if cache and (kept := cache.get(key))), None)
    if code is None:
        code = machine_code(text, machine, quick=quick)
        if cache and keys:
            cache.put(keys[-1], code)
    # A fresh object takes the same way as a kept one, so that the two cannot differ.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def machine_code(text: str, machine: llvm.TargetMachine, *, quick: bool = False) -> bytes:
    """Compile the text of a module to an object file for a machine."""
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=0 if quick else 2)
    options.loop_vectorization = False  # the text is vectors already
    options.slp_vectorization = False
    options.loop_unrolling = False
    llvm.create_pass_builder(machine, options).getModulePassManager().run(
        module, llvm.create_pass_builder(machine, options)
    )
    code: bytes = machine.emit_object(module)
    return code


def code_key(text: str, *, quick: bool = False) -> str | None:
    """Hash of all that machine code depends on; the text names processor and features too."""
    engine = engine_fingerprint()
    if engine is None:
        return None
    versions = (llvmlite.__version__, ".".join(map(str, llvm.llvm_version_info)))
    target = (llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    return key_of(("quick code" if quick else "machine code", engine, *versions, *target, text))
